/**
 * Kind `threads`: one worker thread per seat, on piscina. They share what the storage's `share` put into
 * SharedArrayBuffers, and nothing else.
 *
 * Runs in the main thread of the fork's process, which only passes messages and holds the barrier.
 */

import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { Piscina } from 'piscina'
import { systemClock } from '../../core/clock.ts'
import { ShootoutError, toPlainError } from '../../core/errors.ts'
import { siblingModule } from '../../core/load-module.ts'
import type { Assignment, FromIsolate, Section, ToIsolate } from '../assignment.ts'
import type { IsolateRole } from '../worker.ts'
import { BarrierHub } from './barrier.ts'
import type { Host } from './concurrency.ts'

/** What a thread is handed. */
export interface ThreadTask {
  readonly assignment: Assignment
  readonly role: IsolateRole
  readonly port: MessagePort
}

/** A message reaches a thread in some 20 µs; two busy cores with many threads need more. */
const leadNs = 500_000
const leadPerThreadNs = 50_000

/** What a worker throws comes as a message; a task that fails for the pool has lost its thread. */
function threadDied(seat: number): (cause: Error) => never {
  return (cause) => {
    const how = cause.message.replace(/^worker exited with code: /, 'exit code ')
    throw new ShootoutError('worker-died', `the thread of worker ${seat} ended before its report: ${how}`, {
      cause,
    })
  }
}

export const threadsHost: Host = async (assignment, seats, shared, link) => {
  const pool = new Piscina({
    filename: siblingModule(import.meta.url, './thread-entry'),
    minThreads: seats.length,
    maxThreads: seats.length,
    concurrentTasksPerWorker: 1,
    // The default blocks the event loop of an idle thread, which starves the sockets of its storage.
    atomics: 'disabled',
  })
  const ports: MessagePort[] = []
  const broadcast = (message: ToIsolate): void => {
    for (const port of ports) port.postMessage(message)
  }
  const hub = new BarrierHub(seats.length, leadNs + leadPerThreadNs * seats.length, systemClock, (release) =>
    broadcast({ type: 'release', release }),
  )
  const arrive = (section: Section | undefined): void => {
    try {
      hub.arrive(section)
    } catch (error) {
      link.send({ type: 'failed', error: toPlainError(error) })
    }
  }
  link.onMessage((message) => {
    if (message.type === 'step' && message.step.name === 'populate') ports[0]!.postMessage(message)
    else broadcast(message)
  })
  const runSeat = (seat: number): Promise<unknown> => {
    const { port1, port2 } = new MessageChannel()
    ports.push(port1)
    const closed = new Promise<void>((resolve) => {
      port1.on('message', (message: FromIsolate) => {
        if (message.type === 'arrive') arrive(message.section)
        else if (message.type === 'closed') resolve()
        else link.send(message)
      })
    })
    const role: IsolateRole = { seats: [seat], leadsProcess: seat === seats[0], shared }
    const task: ThreadTask = { assignment, role, port: port2 }
    // A thread's last messages and its end come by different ways; wait for both.
    return Promise.all([pool.run(task, { transferList: [port2] }).catch(threadDied(seat)), closed])
  }
  try {
    await Promise.all(seats.map(runSeat))
  } finally {
    for (const port of ports) port.close()
    await pool.destroy()
  }
}
