/**
 * Kind `async`: N connections on one event loop, sharing one storage. The normal shape of a Node server.
 * Also serves each process of kind `processes`, which is the same with one seat.
 */

import { work } from '../worker.ts'
import type { Host } from './concurrency.ts'

export const asyncHost: Host = (assignment, seats, shared, link) =>
  work(assignment, { seats, leadsProcess: true, shared }, link)
