/** House rules, as tests. Each failure prints the offending line. */

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Folder of src (or file) → what it may import from elsewhere in src. A folder may always import itself. */
const mayImport: readonly (readonly [folder: string, allowed: readonly string[]])[] = [
  ['core/', []],
  ['storages/', ['core/']],
  ['database/', ['storages/storage.ts', 'core/']],
  ['scenarios/', ['database/', 'storages/storage.ts', 'core/']],
  ['results/', ['core/']],
  ['analysis/stats/', ['core/random.ts']],
  ['analysis/', ['results/', 'core/']],
  ['report/', ['analysis/', 'results/', 'core/']],
  [
    'runner/',
    [
      'results/',
      'scenarios/scenario.ts',
      'scenarios/registry.ts',
      'storages/storage.ts',
      'storages/registry.ts',
      'storages/open.ts',
      'database/',
      'core/',
    ],
  ],
  ['conformance/', ['storages/storage.ts', 'storages/open.ts', 'core/']],
]

/** Inside storages: an implementation sees the contract and the shared parts, never a sibling. */
const storageCommons = [
  'storages/storage.ts',
  'storages/open.ts',
  'storages/metadata.ts',
  'storages/mvcc-adapter.ts',
  'storages/conflict-resolution.ts',
  'storages/cache/',
]
const storageFolders = ['storages/file/', 'storages/sql/', 'storages/zeo/', 'storages/cache/']

/** Each vendor package is imported in exactly one file. */
const vendorFiles: Readonly<Record<string, RegExp>> = {
  'better-sqlite3': /^storages\/sql\/sqlite\/driver\.ts$/,
  pg: /^storages\/sql\/postgres\/driver\.ts$/,
  mysql2: /^storages\/sql\/mysql\/driver\.ts$/,
  piscina: /^runner\/concurrency\/threads\.ts$/,
  tinybench: /^runner\/sampler\.ts$/,
  vega: /^report\/html\/svg\.ts$/,
  'vega-lite': /^report\/html\/svg\.ts$/,
  commander: /^cli\//,
}

interface Import {
  readonly file: string
  readonly line: number
  readonly text: string
  /** Path below src for our own modules, the package name for others. */
  readonly target: string
  readonly own: boolean
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
}

const sources = filesBelow('src').filter((path) => path.endsWith('.ts'))

const imports: readonly Import[] = sources.flatMap((path) => {
  const file = relative('src', path)
  const lines = readFileSync(join(root, path), 'utf8').split('\n')
  return lines.flatMap((text, index): Import[] => {
    const specifier = /(?:from |import\(|^import )'([^']+)'/.exec(text)?.[1]
    if (specifier === undefined || specifier.startsWith('node:') || text.trimStart().startsWith('*'))
      return []
    const own = specifier.startsWith('.')
    const target = own
      ? relative(join(root, 'src'), resolve(join(root, 'src'), dirname(file), specifier))
      : specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/')
    return [{ file, line: index + 1, text: text.trim(), target, own }]
  })
})

function show(found: readonly Import[]): string[] {
  return found.map(({ file, line, text }) => `src/${file}:${line}: ${text}`)
}

test('there are sources to check', () => {
  expect(imports.length).toBeGreaterThan(50)
})

test('folders import only what the architecture allows', () => {
  const wrong = imports.filter(({ file, target, own }) => {
    if (!own) return false
    const rule = mayImport.find(([folder]) => file.startsWith(folder))
    if (rule === undefined) return false
    const [folder, allowed] = rule
    return (
      !target.startsWith(folder) &&
      !allowed.some((one) => target === one || (one.endsWith('/') && target.startsWith(one)))
    )
  })
  expect(show(wrong)).toEqual([])
})

test('a storage never imports another storage', () => {
  const wrong = imports.filter(({ file, target }) => {
    const folder = storageFolders.find((one) => file.startsWith(one))
    if (folder === undefined || !target.startsWith('storages/') || target.startsWith(folder)) return false
    return !storageCommons.some((one) => target === one || (one.endsWith('/') && target.startsWith(one)))
  })
  expect(show(wrong)).toEqual([])
})

test('each vendor package is imported in one place', () => {
  const wrong = imports.filter(({ file, target, own }) => !own && vendorFiles[target]?.test(file) !== true)
  expect(show(wrong)).toEqual([])
})

test('every dependency is used, and every used package is a dependency', () => {
  const { dependencies, optionalDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as {
    dependencies: Record<string, string>
    optionalDependencies: Record<string, string>
  }
  const used = new Set(imports.filter(({ own }) => !own).map(({ target }) => target))
  expect([...used].sort()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies }).sort())
})

test('no page has two titles', () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    ...filesBelow('docs').filter((path) => path.endsWith('.md')),
  ]
  for (const page of pages) {
    const outsideCode = readFileSync(join(root, page), 'utf8').replaceAll(/^```[\s\S]*?^```/gm, '')
    expect([page, outsideCode.match(/^# /gm)?.length]).toEqual([page, 1])
  }
})

test('no link between pages is dead', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', ...filesBelow('docs').filter((path) => path.endsWith('.md'))]
  const existing = new Set(['src', 'docs', 'examples', 'results', 'test', 'scripts'].flatMap(filesBelow))
  const dead = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
      .map(([, link]) => relative(root, resolve(root, dirname(page), link!)))
      .filter(
        (target) =>
          !existing.has(target) && !pages.includes(target) && !['LICENSE', 'CHANGELOG.md'].includes(target),
      )
      .filter((target) => ![...existing].some((file) => file.startsWith(`${target}/`)))
      .map((target) => `${page} → ${target}`),
  )
  expect(dead).toEqual([])
})

test('every decision has its number in its title, and a line in the list', () => {
  const list = readFileSync(join(root, 'docs/decisions/README.md'), 'utf8')
  const lines = list.split('\n').filter((line) => line.startsWith('- '))
  const expected = filesBelow('docs/decisions')
    .filter((path) => !path.endsWith('README.md'))
    .sort()
    .map((path) => {
      const [title = ''] = readFileSync(join(root, path), 'utf8').split('\n')
      const name = path.slice(path.lastIndexOf('/') + 1)
      return `- [${name.slice(0, 4)}: ${title.replace(`# ${name.slice(0, 4)}: `, '')}](${name})`
    })
  expect(lines).toEqual(expected)
})
