/**
 * Writes the results file: a reporter that appends one line per event and makes it durable before it returns, so that
 * whatever ends the run, every line before it counts. It is called between measurements, never during one.
 */

import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { ShootoutError, toPlainError, UsageError } from '../core/errors.ts'
import { makeFolder } from '../core/make-folder.ts'
import type { Reporter } from './reporter.ts'
import type {
  CalibrationLine,
  EndLine,
  ForkLine,
  ForksLine,
  ResultLine,
  SkipLine,
  SuiteLine,
} from './schema.ts'

export interface ResultsWriterOptions {
  /** Replace an existing file. What it holds is kept until the first line is written. */
  readonly force?: boolean
  /** Continue an existing file: its suite line stands, a torn last line is cut off. */
  readonly append?: boolean
}

/**
 * Opens the file at once, so that a wrong path is found before anything is measured. Creates missing folders.
 *
 * @throws UsageError `results-exist`, `results-unwritable`. Later, from each event: ShootoutError `results-lost`
 */
export function openResultsWriter(path: string, options: ResultsWriterOptions = {}): Reporter {
  const existed = existsSync(path)
  const file = open(path, options)
  const continues = options.append === true
  // Bytes, not characters: a line may hold any text.
  let length = continues ? readFileSync(path).lastIndexOf(0x0a) + 1 : 0
  /** Something may stand behind the complete lines: what is to be replaced, or what is left of a failed write. */
  let hasRemains = true
  let closed = false

  function append(line: ResultLine): void {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
    try {
      if (hasRemains) ftruncateSync(file, length)
      hasRemains = true
      let written = 0
      while (written < bytes.length) {
        written += writeSync(file, bytes, written, bytes.length - written, length + written)
      }
      fsyncSync(file)
      length += bytes.length
      hasRemains = false
    } catch (error) {
      throw new ShootoutError(
        'results-lost',
        `cannot write to results file ${path} (${toPlainError(error).code}); its ${length} bytes so far are valid, so make room and resume the run`,
        { cause: error, details: { path, length } },
      )
    }
  }

  return {
    onSuite: (line: SuiteLine) => {
      if (!continues) append(line)
    },
    onFork: (line: ForkLine) => append(line),
    onSkip: (line: SkipLine) => append(line),
    onCalibration: (line: CalibrationLine) => append(line),
    onForks: (line: ForksLine) => append(line),
    onEnd: (line: EndLine) => append(line),
    close: () => {
      if (closed) return
      closed = true
      closeSync(file)
      // A run that failed before its first line leaves no empty file in the way of the next attempt.
      if (length === 0 && !existed) unlinkSync(path)
    },
  }
}

function open(path: string, options: ResultsWriterOptions): number {
  const { O_RDWR, O_CREAT, O_EXCL } = constants
  const mode = options.append === true ? 0 : options.force === true ? O_CREAT : O_CREAT | O_EXCL
  try {
    if (options.append !== true) makeFolder(dirname(path))
    return openSync(path, O_RDWR | mode, 0o666)
  } catch (error) {
    const { code } = toPlainError(error)
    if (code === 'EEXIST' && existsSync(path)) {
      throw new UsageError(
        'results-exist',
        `${path} exists already; choose another file with --out, or replace it with --force`,
        { cause: error, details: { path } },
      )
    }
    throw new UsageError(
      'results-unwritable',
      `cannot write results file ${path} (${code}); choose a file in a folder you may write to with --out`,
      { cause: error, details: { path } },
    )
  }
}
