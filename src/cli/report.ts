/** `shootout report`: any results file → table, Markdown, CSV, JSON, HTML. Needs nothing but the file. */

import { writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { type Analysis, analyse } from '../analysis/analyse.ts'
import { UsageError } from '../core/errors.ts'
import { renderCsv } from '../report/csv.ts'
import { renderHtml } from '../report/html/page.ts'
import { renderJson } from '../report/json.ts'
import { renderMarkdown } from '../report/markdown.ts'
import { renderTable } from '../report/table.ts'
import { readResults } from '../results/reader.ts'
import { loadConfig } from './config.ts'
import { useColor } from './run.ts'

interface ReportFlags {
  readonly format: 'table' | 'md' | 'csv' | 'json'
  readonly html?: string
  readonly storage?: string
  readonly scenario?: string
  readonly objects?: string
  readonly concurrency?: string
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
    .option('--html <file>', 'write a report with charts')
    .option('-s, --storage <labels>', 'only these contenders')
    .option('-b, --scenario <list>', 'only these scenarios')
    .option('-n, --objects <list>', 'only these object counts')
    .option('-c, --concurrency <list>', 'only these, as KIND:WORKERS')
    .option('--reference <label>', 'the contender that ratios refer to')
    .action(async (file: string, flags: ReportFlags) => {
      const { config } = await loadConfig(
        { objects: flags.objects, concurrency: flags.concurrency },
        undefined,
      )
      const analysis = analyse(readResults(resolve(file)), {
        ...(flags.storage === undefined ? {} : { contenders: flags.storage.split(',') }),
        ...(flags.scenario === undefined ? {} : { scenarios: flags.scenario.split(',') }),
        ...(flags.objects === undefined ? {} : { objects: config.objects }),
        ...(flags.concurrency === undefined ? {} : { concurrency: config.concurrency }),
        ...(flags.reference === undefined ? {} : { reference: flags.reference }),
      })
      if (flags.html !== undefined) await writeHtml(analysis, resolve(flags.html))
      if (flags.format === 'table') printTable(analysis)
      else {
        const render = { md: renderMarkdown, csv: renderCsv, json: renderJson }[flags.format]
        process.stdout.write(render(analysis))
      }
    })
}

export function printTable(analysis: Analysis): void {
  const width = process.stdout.columns ?? (Number(process.env['COLUMNS']) || 120)
  process.stdout.write(renderTable(analysis, { width, color: useColor(process.stdout) }))
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
