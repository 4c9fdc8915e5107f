/** What a worker thread loads: hands its task to the worker. */

import type { ToIsolate } from '../assignment.ts'
import { type Link, work } from '../worker.ts'
import type { ThreadTask } from './threads.ts'

export default async function runThread({ assignment, role, port }: ThreadTask): Promise<void> {
  const link: Link = {
    send: (message) => port.postMessage(message),
    onMessage: (listener) => port.on('message', (message: ToIsolate) => listener(message)),
  }
  await work(assignment, role, link)
  link.send({ type: 'closed' })
}
