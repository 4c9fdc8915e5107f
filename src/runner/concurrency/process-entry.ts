/**
 * What a child process loads: takes one assignment over IPC, shares what the storage shares between the threads of a
 * process, runs the isolates, and exits.
 */

import { toPlainError } from '../../core/errors.ts'
import { openContext } from '../../storages/open.ts'
import { loadStorageModule } from '../../storages/registry.ts'
import type { Assignment, FromIsolate, ToIsolate } from '../assignment.ts'
import type { Link } from '../worker.ts'

/** To a child process. */
export type ToProcess =
  | { readonly type: 'start'; readonly assignment: Assignment; readonly seats: readonly number[] }
  | ToIsolate

// The terminal sends Ctrl-C to the whole process group. The coordinator decides what becomes of us.
process.on('SIGINT', () => {})
// Without a coordinator there is nothing to do. This also ends us when it was killed.
process.on('disconnect', () => process.exit(1))

process.once('message', (message: ToProcess) => {
  if (message.type !== 'start') throw new Error(`expected an assignment, not ${message.type}`)
  void carryOut(message.assignment, message.seats)
})

async function carryOut(assignment: Assignment, seats: readonly number[]): Promise<void> {
  // Handed over when all is closed: what a storage wrote is not known to be there before.
  const reports: FromIsolate[] = []
  const link: Link = {
    send: (message) => {
      if (message.type === 'done' && message.report !== undefined) reports.push(message)
      else process.send!(message)
    },
    onMessage: (listener) => process.on('message', (message: ToIsolate) => listener(message)),
  }
  try {
    const module = await loadStorageModule(assignment.storageUrl)
    const context = openContext()
    const shared = await module.share?.(assignment.storageOptions, context)
    // piscina is loaded only where there are threads.
    const host =
      assignment.kind === 'threads'
        ? (await import('./threads.ts')).threadsHost
        : (await import('./async.ts')).asyncHost
    try {
      await host(assignment, seats, shared?.state, link)
    } finally {
      await shared?.close()
    }
    for (const report of reports) process.send!(report)
  } catch (error) {
    link.send({ type: 'failed', error: toPlainError(error) })
  }
  // Exits once everything that was sent has been handed over; a storage's forgotten timer or socket shall not keep us.
  process.send!({ type: 'closed' } satisfies FromIsolate, () => process.exit(0))
}
