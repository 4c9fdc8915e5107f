/** Threads of one process on one file storage: no update is lost, no snapshot is torn, no invalidation is missed. */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { commit, current, openFile, temporaryFolder } from '../storages/file/support.ts'
import { dist } from './processes.ts'

const worker = fileURLToPath(new URL('./file-worker.js', import.meta.url))

test.each([
  { threads: 4, tasks: 1, commits: 150 },
  { threads: 2, tasks: 4, commits: 60 },
])('$threads threads with $tasks tasks count together, while the log is packed', async (shape) => {
  const path = join(temporaryFolder(), 'data.log')
  const prepared = await openFile(path)
  await commit(prepared.newInstance(), { 0: 'root', 1: '0', 2: '0' })
  await prepared.close()
  const job = { dist: dist.href, path, task: 'increment', ...shape }
  const { stdout } = await promisify(execFile)(process.execPath, [worker, JSON.stringify(job)])
  const reports = (JSON.parse(stdout) as { unequal: number; staleCaches: number }[][]).flat()
  expect(reports).toHaveLength(shape.threads * shape.tasks)
  for (const report of reports) expect(report).toMatchObject({ unequal: 0, staleCaches: 0 })
  const storage = await openFile(path)
  const total = String(shape.threads * shape.tasks * shape.commits)
  expect([await current(storage, 1), await current(storage, 2)]).toEqual([total, total])
})

test('readers in other threads find every object while pack after pack moves it', async () => {
  const path = join(temporaryFolder(), 'data.log')
  const job = { dist: dist.href, path, task: 'watch', threads: 3, tasks: 1, commits: 12 }
  const { stdout } = await promisify(execFile)(process.execPath, [worker, JSON.stringify(job)])
  const reports = (JSON.parse(stdout) as { wrong: number; reads: number }[][]).flat()
  expect(reports.map(({ wrong }) => wrong)).toEqual([0, 0, 0])
  expect(reports.slice(1).every(({ reads }) => reads > 1000)).toBe(true)
})
