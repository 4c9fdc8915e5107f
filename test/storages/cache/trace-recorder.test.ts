/** Recording what a cache is asked, and reading it back. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { asOid, asTid } from '../../../src/core/ids.ts'
import { policyNamed } from '../../../src/storages/cache/policies/index.ts'
import { simulate } from '../../../src/storages/cache/simulate.ts'
import { SnapshotIndex } from '../../../src/storages/cache/snapshot-index.ts'
import { createStateCache, StateCache } from '../../../src/storages/cache/state-cache.ts'
import { readRecordedTrace, TraceRecorder } from '../../../src/storages/cache/trace-recorder.ts'
import { coded } from '../../coded.ts'

const folder = mkdtempSync(join(tmpdir(), 'shootout-trace-'))
const path = join(folder, 'cache.trace')
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('what a view is asked is recorded, and simulates to the misses that it had', () => {
  const recorder = new TraceRecorder(path, () => 1e12)
  const cache = new StateCache(createStateCache({ bytesLimit: 1024 ** 2 }))
  const view = new SnapshotIndex(cache, { recorder }).newView()
  view.polled(asTid(5000), view.beginPoll(), 'all')
  let misses = 0
  for (let request = 0; request < 5000; request++) {
    const oid = asOid((request * request) % 1201)
    if (view.find(oid) !== undefined) continue
    misses++
    view.loaded(oid, asTid(7), new Uint8Array(100), view.snapshot!)
  }
  recorder.close()
  const content = readFileSync(path)
  expect(content.length).toBe(16 + 5000 * 32)
  const result = simulate(readRecordedTrace(content), policyNamed('s3-fifo'), 1e6)
  expect(result).toMatchObject({ requests: 5000, misses, requestedBytes: 500_000 })
  // A crash cut the last record short.
  expect(readRecordedTrace(content.subarray(0, content.length - 5)).revisions.length).toBe(4999)
  expect(() => new TraceRecorder(path)).toThrow(coded('trace-file', 'cannot be written'))
  expect(() => readRecordedTrace(content.subarray(1))).toThrow(coded('bad-trace', 'not a cache trace'))
})
