/** `shootout report`: any results file → table, Markdown, CSV, JSON, HTML. Needs nothing but the file. */

import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { analyse } from '../analysis/analyse.ts'
import type { Analysis } from '../analysis/model.ts'
import { UsageError } from '../core/errors.ts'
import { renderCsv } from '../report/csv.ts'
import { renderHtml } from '../report/html/page.ts'
import { renderJson } from '../report/json.ts'
import { renderMarkdown } from '../report/markdown.ts'
import type { Renderer } from '../report/renderer.ts'
import { renderTable } from '../report/table.ts'
import { readResults } from '../results/reader.ts'
import type { ConcurrencyKind } from '../results/schema.ts'
import { canonicalScenarioName } from '../scenarios/registry.ts'
import { outputStyle } from './console.ts'
import { joinLists, splitList } from './lists.ts'

interface ReportFlags {
  readonly format: 'table' | 'md' | 'csv' | 'json'
  readonly details?: boolean
  readonly html?: string
  readonly storage?: string
  readonly scenario?: string
  readonly objects?: string
  readonly kind?: string
  readonly workers?: string
  readonly reference?: string
}

const renderers: Readonly<Record<ReportFlags['format'], Renderer>> = {
  table: renderTable,
  md: renderMarkdown,
  csv: renderCsv,
  json: renderJson,
}

export function registerReport(program: Command): void {
  program
    .command('report')
    .description('print a results file again, in any form')
    .argument('<file>', 'results file of a run, complete or interrupted')
    .addOption(
      new Option('-f, --format <format>', 'what is printed').choices(Object.keys(renderers)).default('table'),
    )
    .option('--details', 'with latencies, processor time and work counters (table only)')
    .option('--html <file>', 'also write a report with charts')
    .option('-s, --storage <labels>', 'only these contenders', joinLists)
    .option('-b, --scenario <list>', 'only these scenarios', joinLists)
    .option('-n, --objects <list>', 'only these object counts', joinLists)
    .option('--kind <list>', 'only these concurrency kinds', joinLists)
    .option('--workers <list>', 'only these numbers of workers', joinLists)
    .option('--reference <label>', 'the contender that ratios refer to')
    .action(async (file: string, flags: ReportFlags) => {
      if (flags.details === true && flags.format !== 'table') {
        throw new UsageError(
          'bad-value',
          `--details is for tables; --format ${flags.format === 'md' ? 'json and csv have' : `${flags.format} has`} all of it`,
        )
      }
      const analysis = analyse(readResults(resolve(file)), {
        ...(flags.storage === undefined ? {} : { contenders: splitList(flags.storage) }),
        ...(flags.scenario === undefined
          ? {}
          : { scenarios: splitList(flags.scenario).map((name) => canonicalScenarioName(name) ?? name) }),
        ...(flags.objects === undefined ? {} : { objects: numbers('--objects', flags.objects) }),
        ...(flags.kind === undefined ? {} : { kinds: splitList(flags.kind) as ConcurrencyKind[] }),
        ...(flags.workers === undefined ? {} : { workers: numbers('--workers', flags.workers) }),
        ...(flags.reference === undefined ? {} : { reference: flags.reference }),
      })
      if (flags.html !== undefined) await writeHtml(analysis, resolve(flags.html))
      const render = renderers[flags.format]
      process.stdout.write(render(analysis, { ...outputStyle(), details: flags.details === true }))
    })
}

function numbers(flag: string, text: string): number[] {
  return splitList(text).map((item) => {
    const number = Number(item)
    if (item === '' || !Number.isSafeInteger(number)) {
      throw new UsageError('bad-value', `${flag}: "${item}" is not an integer`)
    }
    return number
  })
}

export function printTable(analysis: Analysis): void {
  process.stdout.write(renderTable(analysis, outputStyle()))
}

export async function writeHtml(analysis: Analysis, path: string): Promise<void> {
  const page = await renderHtml(analysis)
  try {
    await writeFile(path, page)
  } catch (cause) {
    throw new UsageError(
      'html-unwritable',
      `the report cannot be written to ${path} (${(cause as Error).message}); choose a file in a folder you may write to with --html`,
      { cause },
    )
  }
  process.stderr.write(`Report: ${path}\n`)
}
