/** Where the report of a gate goes: standard output, annotations, the summary of a job, JUnit. */

import { appendFile, writeFile } from 'node:fs/promises'
import type { GateReport } from '../analysis/gate/report-model.ts'
import { UsageError } from '../core/errors.ts'
import { renderAnnotations } from '../report/annotations.ts'
import { renderGateMarkdown } from '../report/gate-markdown.ts'
import { renderGateTable } from '../report/gate-table.ts'
import { renderJunit } from '../report/junit.ts'
import { outputStyle } from './console.ts'
import type { GateFlags } from './gate-flags.ts'

export async function printGate(
  report: GateReport,
  flags: Pick<GateFlags, 'format' | 'annotations' | 'markdown' | 'junit'>,
): Promise<void> {
  const { env, stdout } = process
  if (flags.format === 'json') stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  else if (flags.format === 'md') stdout.write(renderGateMarkdown(report))
  else stdout.write(renderGateTable(report, outputStyle()))

  const isAction = env['GITHUB_ACTIONS'] === 'true'
  // Annotations are commands on standard output; in the other forms they would spoil the document.
  if (flags.annotations ?? (isAction && flags.format === 'table')) stdout.write(renderAnnotations(report))
  const summary = flags.markdown ?? (isAction ? env['GITHUB_STEP_SUMMARY'] : undefined)
  if (summary !== undefined) await write(summary, () => appendFile(summary, renderGateMarkdown(report)))
  const junit = flags.junit
  if (junit !== undefined) await write(junit, () => writeFile(junit, renderJunit(report)))
}

async function write(path: string, action: () => Promise<void>): Promise<void> {
  try {
    await action()
  } catch (cause) {
    throw new UsageError(
      'report-unwritable',
      `the report cannot be written to ${path}: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}
