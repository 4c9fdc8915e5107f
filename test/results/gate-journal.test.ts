import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { openGateJournal, parseGateJournal, readGateJournal } from '../../src/results/gate-journal.ts'
import { type GateEnd, type GateLine, gateSchemaVersion } from '../../src/results/gate-schema.ts'

const folder = mkdtempSync(join(tmpdir(), 'gate-journal-'))
afterAll(() => rmSync(folder, { recursive: true }))

const header = { type: 'gate', schema: gateSchemaVersion } as unknown as GateLine
const end: GateEnd = {
  type: 'end',
  endedAt: '2026-01-01T00:00:00Z',
  outcome: 'completed',
  exitCode: 0,
  elapsedNs: 1,
}

test('what was appended is read back, each line on disk at once', () => {
  const path = join(folder, 'new', 'one.jsonl')
  const journal = openGateJournal(path)
  journal.append(header)
  expect(readGateJournal(path)).toEqual([header])
  journal.append(end)
  journal.close()
  journal.close()
  expect(readGateJournal(path)).toEqual([header, end])
})

test('an existing journal is not overwritten, unless it is asked for', () => {
  const path = join(folder, 'two.jsonl')
  openGateJournal(path).close()
  expect(() => openGateJournal(path)).toThrow(expect.objectContaining({ code: 'results-exist' }))
  openGateJournal(path, { force: true }).close()
})

test('a folder that cannot be made is named', () => {
  const path = join(folder, 'two.jsonl', 'three.jsonl')
  expect(() => openGateJournal(path)).toThrow(path)
  // Node 20's own recursive mkdir would never return from this one.
  expect(() => openGateJournal('/proc/nowhere/at/all.jsonl')).toThrow(/ENOENT/)
})

test('a last line that was cut off is left out; any other fault is named by its line', () => {
  const path = join(folder, 'four.jsonl')
  const journal = openGateJournal(path)
  journal.append(header)
  journal.append(end)
  journal.close()
  const text = readFileSync(path, 'utf8')
  expect(parseGateJournal(text.slice(0, -5), path)).toEqual([header])
  expect(() => parseGateJournal(`${text}{\n`, path)).toThrow('line 3')
  expect(() => parseGateJournal('{"type":"suite"}\n', path)).toThrow('not the journal of a gate')
  expect(() => parseGateJournal('{"type":"gate","schema":99}\n', path)).toThrow('newer')
})
