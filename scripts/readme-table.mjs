// Writes what a results file says into README: `node scripts/readme-table.mjs results/<date>/<machine>/readme.jsonl`,
// in a checkout that is built. The tables of one scenario with their legend, the summary, and where they come from; nothing is typed.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The scenario that is shown: what everybody asks about first. */
const shown = 'update'
/** How a section begins: with the name of a scenario, or what comes after the last one. */
const isHeaded = /^(?:[a-z][a-z-]*\n|Time per operation|[A-Z][a-z ]*(?:\(.*\))?\n)/
/** A footnote with the lines that it goes on in. */
const note = /^(\[\d+\]) .*\n?(?:(?![[*†]).+\n?)*/gm
const marked = /<!-- table of \S* -->\n```\n[\s\S]*?\n```\n(?:\nMeasured .*\n)?/

/**
 * The part of `shootout report` that README shows.
 * @param {string} report
 */
export function partOf(report) {
  const paragraphs = report.trimEnd().split('\n\n')
  const section = (/** @type {string} */ heading) => {
    const start = paragraphs.findIndex((text) => text.startsWith(heading))
    if (start < 0) throw new Error(`the report has no section "${heading.trim()}"`)
    const next = paragraphs.findIndex((text, index) => index > start && isHeaded.test(text))
    return paragraphs.slice(start, next < 0 ? undefined : next).join('\n\n')
  }
  const tables = section(`${shown}\n`)
  const legend = section('Time per operation').replace(note, (text, number) =>
    tables.includes(number) ? text : '',
  )
  return [tables, legend.trimEnd(), section('Which is faster\n')].join('\n\n')
}

/**
 * The page with another table.
 * @param {string} page
 * @param {string} path of the results file, relative to the page
 * @param {import('../src/results/schema.ts').SuiteLine} suite
 * @param {string} report
 */
export function withTable(page, path, suite, report) {
  if (!marked.test(page)) throw new Error('README has no mark <!-- table of … --> above a block')
  const { cpus, cpuModel, node, platform, fileSystem, fsyncProbeNs } = suite.environment
  const machine = `${cpus} × ${cpuModel.trim()}, ${platform}, ${fileSystem}, append + fsync ${Math.round(fsyncProbeNs / 1e3)} µs, Node.js ${node.replace(/^v/, '')}`
  const source = `Measured on ${suite.startedAt.slice(0, 10)}: ${machine}; [all of it](${path}).`
  return page.replace(
    marked,
    () => `<!-- table of ${path} -->\n\`\`\`\n${partOf(report)}\n\`\`\`\n\n${source}\n`,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file] = process.argv.slice(2)
  if (file === undefined) throw new Error('name a results file')
  const root = fileURLToPath(new URL('..', import.meta.url))
  const ran = spawnSync(process.execPath, [`${root}/dist/cli/main.js`, 'report', resolve(file)], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', COLUMNS: '120' },
  })
  if (ran.status !== 0) throw new Error(ran.stderr)
  const suite = JSON.parse(readFileSync(file, 'utf8').split('\n', 1)[0] ?? '')
  const readme = `${root}/README.md`
  const path = relative(root, resolve(file))
  writeFileSync(readme, withTable(readFileSync(readme, 'utf8'), path, suite, ran.stdout))
}
