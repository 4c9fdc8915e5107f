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
  const [first, ...rest] = lines
  if (first === undefined) {
    throw new UsageError('results-empty', `${path} has no complete line; no run got as far as writing one`, {
      details: { path },
    })
  }
  const body = new Body(parseSuite(first, path), path)
  for (const [index, line] of rest.entries()) body.add(parseLine(line, path, index + 2), index + 2)
  const incomplete = `line ${lines.length + 1} of ${path} is not complete and was left out: the run was killed while it wrote`
  return body.results(torn === '' ? [] : [{ code: 'truncated-line', text: incomplete }])
}

function parseSuite(text: string, path: string): SuiteLine {
  if (text.startsWith('{"type":"gate"')) {
    throw new UsageError(
      'results-malformed',
      `${path} is the journal of a gate, not the results of a run; "shootout plan --from" reads it, and "shootout gate --resume" goes on with it`,
      { details: { path } },
    )
  }
  const suite = parseLine(text, path, 1)
  if (suite.type !== 'suite')
    throw malformed(path, 1, `the first line must be of type suite, but is ${suite.type}`)
  if (!suite.contenders.some((contender) => contender.label === suite.reference)) {
    throw malformed(path, 1, `reference "${suite.reference}" is not among the contenders`)
  }
  return suite
}

/** What follows the suite line, gathered line by line. */
class Body {
  readonly #suite: SuiteLine
  readonly #path: string
  readonly #labels: ReadonlySet<string>
  readonly #settings: ReadonlySet<string>
  readonly #forks = new Map<string, ForkLine>()
  readonly #skips = new Map<string, SkipLine>()
  readonly #calibrations = new Map<string, CalibrationLine>()
  #end: EndLine | undefined
  #elapsedNs = 0
  #decision: ForksLine | undefined

  constructor(suite: SuiteLine, path: string) {
    this.#suite = suite
    this.#path = path
    this.#labels = new Set(suite.contenders.map(({ label }) => label))
    this.#settings = new Set(suite.settings.map(settingKey))
  }

  add(line: ResultLine, number: number): void {
    if (line.type === 'suite') throw malformed(this.#path, number, 'only the first line may be of type suite')
    if (line.type === 'end') {
      // A resumed run has an end for each session.
      this.#elapsedNs += line.elapsedNs
      this.#end = { ...line, elapsedNs: this.#elapsedNs }
    } else if (line.type === 'forks') {
      const settings = this.#suite.settings.length
      if (line.forks.length !== settings) {
        const counts = `${line.forks.length} numbers for ${settings} settings`
        throw malformed(this.#path, number, `forks has ${counts}`)
      }
      this.#decision = line
    } else {
      this.#addOfSetting(line, number)
    }
  }

  #addOfSetting(line: CalibrationLine | SkipLine | ForkLine, number: number): void {
    const named = line.type === 'calibration' ? line.contenders : [line]
    const stranger = named.find(({ contender }) => !this.#labels.has(contender))
    if (stranger !== undefined) {
      throw malformed(this.#path, number, `contender "${stranger.contender}" is not in the suite line`)
    }
    const key = settingKey(line)
    if (!this.#settings.has(key)) {
      throw malformed(this.#path, number, `setting "${key}" is not in the suite line`)
    }
    if (line.type === 'calibration') {
      this.#calibrations.set(key, line)
    } else if (line.type === 'skip') {
      this.#skips.set(`${line.contender}/${key}`, line)
    } else {
      // A resumed run adds forks after the end of the first part; until it ends itself, it is not complete.
      this.#end = undefined
      this.#forks.set(`${line.contender}/${key}/${line.fork}`, line)
    }
  }

  results(warnings: readonly ResultsWarning[]): Results {
    return {
      path: this.#path,
      suite: this.#suite,
      forks: [...this.#forks.values()],
      skips: [...this.#skips.values()],
      calibrations: [...this.#calibrations.values()],
      ...(this.#decision === undefined ? {} : { decision: this.#decision }),
      ...(this.#end === undefined ? {} : { end: this.#end }),
      warnings,
    }
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
