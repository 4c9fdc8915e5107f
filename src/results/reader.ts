/**
 * Reads a results file back. Every line is checked; what is malformed is named by file and line. Only one fault is
 * forgiven, because killing a run causes it: a last line that was not written to its end. It becomes a warning.
 */

import { readFileSync } from 'node:fs'
import { toPlainError, UsageError } from '../core/errors.ts'
import {
  type CalibrationLine,
  type EndLine,
  type ForkLine,
  type ForksLine,
  type ResultLine,
  type SkipLine,
  type SuiteLine,
  schemaVersion,
} from './schema.ts'
import { lineProblem } from './validate.ts'

/** A results file, read and checked. */
export interface Results {
  readonly path: string
  readonly suite: SuiteLine
  /** In the order of the file. A fork that was repeated is here once, as its last line says. */
  readonly forks: readonly ForkLine[]
  readonly skips: readonly SkipLine[]
  /** At most one per setting; the last where there were several. */
  readonly calibrations: readonly CalibrationLine[]
  /** How many forks each setting was to have, where that was decided while running. */
  readonly decision?: ForksLine
  /**
   * The last one, with the time of all sessions that came to their end. Missing where the run was killed, or where forks
   * were added after it.
   */
  readonly end?: EndLine
  readonly warnings: readonly ResultsWarning[]
}

/** The file can be used, but a reader of its numbers should know. */
export interface ResultsWarning {
  readonly code: 'truncated-line'
  readonly text: string
}

/**
 * @throws UsageError `results-unreadable`, `results-empty`, `results-newer-schema`, `results-malformed`
 */
export function readResults(path: string): Results {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = toPlainError(error)
    throw new UsageError(
      'results-unreadable',
      `cannot read results file ${path} (${code}); look with "ls results" for the files of earlier runs`,
      { cause: error, details: { path } },
    )
  }
  return parseResults(text, path)
}

/** The same for text that is already in memory; `path` is for messages. */
export function parseResults(text: string, path: string): Results {
  const lines = text.split('\n')
  // A complete file ends with a line feed, so what follows the last one is empty or torn.
  const torn = lines.pop() ?? ''
  if (lines.length === 0) {
    throw new UsageError('results-empty', `${path} has no complete line; no run got as far as writing one`, {
      details: { path },
    })
  }

  if (lines[0]!.startsWith('{"type":"gate"')) {
    throw new UsageError(
      'results-malformed',
      `${path} is the journal of a gate, not the results of a run; "shootout plan --from" reads it, and "shootout gate --resume" goes on with it`,
      { details: { path } },
    )
  }

  const suite = parseLine(lines[0]!, path, 1)
  if (suite.type !== 'suite')
    throw malformed(path, 1, `the first line must be of type suite, but is ${suite.type}`)
  if (!suite.contenders.some((contender) => contender.label === suite.reference)) {
    throw malformed(path, 1, `reference "${suite.reference}" is not among the contenders`)
  }
  const labels = new Set(suite.contenders.map((contender) => contender.label))
  const settings = new Set(suite.settings.map(settingKey))
  const forks = new Map<string, ForkLine>()
  const skips = new Map<string, SkipLine>()
  const calibrations = new Map<string, CalibrationLine>()
  let end: EndLine | undefined
  let elapsedNs = 0
  let decision: ForksLine | undefined

  for (let index = 1; index < lines.length; index++) {
    const line = parseLine(lines[index]!, path, index + 1)
    if (line.type === 'suite') throw malformed(path, index + 1, 'only the first line may be of type suite')
    if (line.type === 'end') {
      // A resumed run has an end for each session.
      elapsedNs += line.elapsedNs
      end = { ...line, elapsedNs }
      continue
    }
    if (line.type === 'forks') {
      if (line.forks.length !== suite.settings.length) {
        const counts = `${line.forks.length} numbers for ${suite.settings.length} settings`
        throw malformed(path, index + 1, `forks has ${counts}`)
      }
      decision = line
      continue
    }
    const named = line.type === 'calibration' ? line.contenders : [line]
    const stranger = named.find(({ contender }) => !labels.has(contender))
    if (stranger !== undefined) {
      throw malformed(path, index + 1, `contender "${stranger.contender}" is not in the suite line`)
    }
    const key = settingKey(line)
    if (!settings.has(key)) throw malformed(path, index + 1, `setting "${key}" is not in the suite line`)
    if (line.type === 'calibration') {
      calibrations.set(key, line)
    } else if (line.type === 'skip') {
      skips.set(`${line.contender}/${key}`, line)
    } else {
      // A resumed run adds forks after the end of the first part; until it ends itself, it is not complete.
      end = undefined
      forks.set(`${line.contender}/${key}/${line.fork}`, line)
    }
  }

  const warnings: ResultsWarning[] =
    torn === ''
      ? []
      : [
          {
            code: 'truncated-line',
            text: `line ${lines.length + 1} of ${path} is not complete and was left out: the run was killed while it wrote`,
          },
        ]
  return {
    path,
    suite,
    forks: [...forks.values()],
    skips: [...skips.values()],
    calibrations: [...calibrations.values()],
    ...(decision === undefined ? {} : { decision }),
    ...(end === undefined ? {} : { end }),
    warnings,
  }
}

/** Equal for lines of the same setting. */
export function settingKey(line: {
  readonly scenario: string
  readonly objects: number
  readonly concurrency: { readonly kind: string; readonly workers: number }
}): string {
  return `${line.scenario}/${line.objects}/${line.concurrency.kind}:${line.concurrency.workers}`
}

function parseLine(text: string, path: string, number: number) {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw malformed(path, number, `not JSON (${error instanceof Error ? error.message : String(error)})`)
  }
  // Before anything else is looked at: a newer file may differ in every other field.
  const schema = (value as { schema?: unknown } | null)?.schema
  if (number === 1 && typeof schema === 'number' && schema > schemaVersion) {
    throw new UsageError(
      'results-newer-schema',
      `${path} was written by a newer shootout (schema ${schema}; this one reads up to ${schemaVersion}); update shootout`,
      { details: { path, schema, schemaVersion } },
    )
  }
  const problem = lineProblem(value)
  if (problem !== undefined) throw malformed(path, number, problem)
  return value as ResultLine
}

function malformed(path: string, line: number, problem: string): UsageError {
  return new UsageError(
    'results-malformed',
    `${path}, line ${line}: ${problem}; if this is a results file, it was changed after it was written`,
    { details: { path, line } },
  )
}
