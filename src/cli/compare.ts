/** `shootout compare`: two results files → what became faster and what slower. Never measures anything. */

import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import { compare, comparedFields } from '../analysis/compare.ts'
import { describeError, ShootoutError } from '../core/errors.ts'
import { renderComparison, renderComparisonMarkdown } from '../report/comparison.ts'
import { readResults } from '../results/reader.ts'
import { outputStyle } from './console.ts'
import { exitCodes } from './exit-codes.ts'
import { joinLists, splitList } from './lists.ts'

interface CompareFlags {
  readonly format: 'table' | 'md' | 'json'
  readonly allowMismatch?: string
}

export function registerCompare(program: Command): void {
  program
    .command('compare')
    .description('compare the cells of two results files')
    .argument('<before>', 'results file')
    .argument('<after>', 'results file')
    .addOption(
      new Option('-f, --format <format>', 'what is printed')
        .choices(['table', 'md', 'json'])
        .default('table'),
    )
    .option(
      '--allow-mismatch <field>',
      `compare although the runs differ in this: ${comparedFields.join(', ')}; may be repeated`,
      joinLists,
    )
    .action((before: string, after: string, flags: CompareFlags) => {
      process.exitCode = runCompare(before, after, flags)
    })
}

function runCompare(before: string, after: string, flags: CompareFlags): number {
  const [old, now] = [readResults(resolve(before)), readResults(resolve(after))]
  let comparison: ReturnType<typeof compare>
  try {
    comparison = compare(old, now, splitList(flags.allowMismatch))
  } catch (error) {
    if (!(error instanceof ShootoutError) || error.code !== 'not-comparable') throw error
    process.stderr.write(`shootout: ${describeError(error)}\n`)
    return exitCodes.baseline
  }
  if (flags.format === 'json') process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`)
  else if (flags.format === 'md') process.stdout.write(renderComparisonMarkdown(comparison))
  else process.stdout.write(renderComparison(comparison, outputStyle()))
  return exitCodes.pass
}
