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
import { renderTable } from '../report/table.ts'
import { readResults } from '../results/reader.ts'
import type { ConcurrencyKind } from '../results/schema.ts'
import { canonicalScenarioName } from '../scenarios/registry.ts'

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

export function registerReport(program: Command): void {
  program
    .command('report')
    .description('print a results file again, in any form')
    .argument('<file>', 'results file of a run, complete or interrupted')
    .addOption(
      new Option('-f, --format <form>', 'form').choices(['table', 'md', 'csv', 'json']).default('table'),
    )
    .option('--details', 'with latencies, processor time and work counters (table only)')
    .option('--html <file>', 'write a report with charts')
    .option('-s, --storage <labels>', 'only these contenders')
    .option('-b, --scenario <list>', 'only these scenarios')
    .option('-n, --objects <list>', 'only these object counts')
    .option('--kind <list>', 'only these concurrency kinds')
    .option('--workers <list>', 'only these numbers of workers')
    .option('--reference <label>', 'the contender that ratios refer to')
    .action(async (file: string, flags: ReportFlags) => {
      const analysis = analyse(readResults(resolve(file)), {
        ...(flags.storage === undefined ? {} : { contenders: flags.storage.split(',') }),
        ...(flags.scenario === undefined
          ? {}
          : { scenarios: flags.scenario.split(',').map((name) => canonicalScenarioName(name) ?? name) }),
        ...(flags.objects === undefined ? {} : { objects: numbers('--objects', flags.objects) }),
        ...(flags.kind === undefined ? {} : { kinds: flags.kind.split(',') as ConcurrencyKind[] }),
        ...(flags.workers === undefined ? {} : { workers: numbers('--workers', flags.workers) }),
        ...(flags.reference === undefined ? {} : { reference: flags.reference }),
      })
      if (flags.html !== undefined) await writeHtml(analysis, resolve(flags.html))
      if (flags.format === 'table') printTable(analysis, flags.details === true)
      else {
        const render = { md: renderMarkdown, csv: renderCsv, json: renderJson }[flags.format]
        process.stdout.write(render(analysis))
      }
    })
}

function numbers(flag: string, text: string): number[] {
  return text.split(',').map((item) => {
    const number = Number(item)
    if (item.trim() === '' || !Number.isSafeInteger(number)) {
      throw new UsageError('bad-value', `${flag}: "${item}" is not an integer`)
    }
    return number
  })
}

export function printTable(analysis: Analysis, details = false): void {
  const width = process.stdout.columns ?? (Number(process.env['COLUMNS']) || 120)
  process.stdout.write(renderTable(analysis, { width, color: useColor(process.stdout), details }))
}

export async function writeHtml(analysis: Analysis, path: string): Promise<void> {
  const page = await renderHtml(analysis)
  try {
    await writeFile(path, page)
  } catch (cause) {
    throw new UsageError(
      'html-unwritable',
      `the report cannot be written to ${path}: ${(cause as Error).message}`,
      { cause },
    )
  }
  process.stderr.write(`Report: ${path}\n`)
}

/** Colour where a person looks, unless they said otherwise. */
export function useColor(stream: { readonly isTTY?: boolean }): boolean {
  if (process.env['NO_COLOR'] !== undefined && process.env['NO_COLOR'] !== '') return false
  if (process.env['FORCE_COLOR'] !== undefined && process.env['FORCE_COLOR'] !== '0') return true
  return stream.isTTY === true
}
