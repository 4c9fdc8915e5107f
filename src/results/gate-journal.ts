/**
 * Writes and reads the journal of a gate. Each line is durable before the next pair begins, so an interrupted gate
 * loses at most the pair that was under way.
 */

import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { ShootoutError, toPlainError, UsageError } from '../core/errors.ts'
import { makeFolder } from '../core/make-folder.ts'
import { type GateHeader, type GateLine, gateSchemaVersion } from './gate-schema.ts'

export interface GateJournal {
  /** @throws ShootoutError `results-lost` */
  append(line: GateLine): void
  close(): void
}

/**
 * Opens the file at once, so that a wrong path is found before anything is measured. Creates missing folders.
 * @throws UsageError `results-exist`, `results-unwritable`
 */
export function openGateJournal(path: string, options: { readonly force?: boolean } = {}): GateJournal {
  let file: number
  try {
    makeFolder(dirname(path))
    file = openSync(path, options.force === true ? 'w' : 'wx')
  } catch (cause) {
    const { code } = toPlainError(cause)
    if (code === 'EEXIST' && existsSync(path)) {
      throw new UsageError(
        'results-exist',
        `${path} exists already; choose another file with --out, or replace it with --force`,
        { cause, details: { path } },
      )
    }
    throw new UsageError(
      'results-unwritable',
      `cannot write journal ${path} (${code}); choose a file in a folder you may write to with --out`,
      { cause, details: { path } },
    )
  }
  return journalOf(file, path)
}

/**
 * Opens a journal that is there, to go on behind its last complete line; what a kill cut off is removed.
 * @throws UsageError `results-unwritable`
 */
export function continueGateJournal(path: string): GateJournal {
  try {
    const bytes = readFileSync(path)
    const file = openSync(path, 'r+')
    ftruncateSync(file, bytes.lastIndexOf(0x0a) + 1)
    closeSync(file)
    return journalOf(openSync(path, 'a'), path)
  } catch (cause) {
    throw new UsageError(
      'results-unwritable',
      `cannot go on with journal ${path} (${toPlainError(cause).code}); copy it to where you may write`,
      { cause, details: { path } },
    )
  }
}

function journalOf(file: number, path: string): GateJournal {
  let closed = false
  return {
    append(line) {
      try {
        const bytes = Buffer.from(`${JSON.stringify(line)}\n`)
        for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written)
        fsyncSync(file)
      } catch (cause) {
        throw new ShootoutError(
          'results-lost',
          `cannot write to journal ${path} (${toPlainError(cause).code}); make room and start the gate again`,
          { cause, details: { path } },
        )
      }
    },
    close() {
      if (closed) return
      closed = true
      closeSync(file)
    },
  }
}

/** All complete lines; a last one that was cut off by a kill is left out. @throws UsageError `results-malformed` */
export function parseGateJournal(text: string, path: string): readonly [GateHeader, ...GateLine[]] {
  const lines = text.split('\n').slice(0, -1)
  const parsed = lines.map((line, index) => {
    try {
      return JSON.parse(line) as GateLine
    } catch (cause) {
      throw new UsageError(
        'results-malformed',
        `${path}, line ${index + 1}: not JSON; if this is a journal, it was changed after it was written`,
        { cause },
      )
    }
  })
  const [header, ...rest] = parsed
  if (header?.type !== 'gate') {
    throw new UsageError(
      'results-malformed',
      `${path} is not the journal of a gate: its first line is not of type gate. Name one that a gate has written`,
    )
  }
  if (header.schema > gateSchemaVersion) {
    throw new UsageError(
      'results-newer-schema',
      `${path} was written by a newer shootout (journal schema ${header.schema}; this one reads up to ${gateSchemaVersion}); update shootout`,
    )
  }
  return [header, ...rest]
}

/** @throws UsageError `results-unreadable`, `results-malformed`, `results-newer-schema` */
export function readGateJournal(path: string): readonly [GateHeader, ...GateLine[]] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new UsageError(
      'results-unreadable',
      `cannot read journal ${path} (${toPlainError(cause).code}); check the path`,
      {
        cause,
      },
    )
  }
  return parseGateJournal(text, path)
}
