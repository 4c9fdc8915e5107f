/** When a peer is asked whether it is there, and when it is given up, on a clock of the test. */

import { beforeEach, expect, test } from 'vitest'
import { Channel } from '../../../src/storages/zeo/channel.ts'
import { types } from '../../../src/storages/zeo/protocol.ts'
import type { Timers } from '../../../src/storages/zeo/timers.ts'
import { RecordingWire } from './test-wire.ts'

/** Time passes when it is told to; what waits for the sockets to be read goes on when they are said to be. */
class StandingTimers implements Timers {
  #now = 0
  #planned = new Map<() => void, number>()
  #behindSockets: (() => void)[] = []

  now(): number {
    return this.#now
  }

  after(delayMs: number, call: () => void) {
    this.#planned.set(call, this.#now + delayMs)
    return () => void this.#planned.delete(call)
  }

  limit(delayMs: number, call: () => void) {
    return this.after(delayMs, () => this.#behindSockets.push(call))
  }

  /** The process stands still, then sees which timers are due. */
  standStill(ms: number): void {
    this.#now += ms
    for (const [call, at] of [...this.#planned]) {
      if (at > this.#now) continue
      this.#planned.delete(call)
      call()
    }
  }

  readSockets(arrived: () => void = () => {}): void {
    arrived()
    for (const call of this.#behindSockets.splice(0)) call()
  }
}

let timers: StandingTimers
let wire: RecordingWire
let gone: Error[]
beforeEach(() => {
  timers = new StandingTimers()
  wire = new RecordingWire()
  gone = []
})

function open(silenceMs: number, pingMs: number): void {
  const limits = { messageBytesMax: 1000, assemblyBytesMax: 1000, streamsMax: 1 }
  const closed = (error: Error | undefined) => void gone.push(error!)
  new Channel(wire, { limits, timers, silenceMs, pingMs }, { message() {}, closed })
}

async function pings(): Promise<number> {
  await Promise.resolve()
  return wire.bytes.filter((byte, place) => place % 16 === 4 && byte === types.ping).length
}

test('a peer is asked again after an interval, also where this process stood still after asking', async () => {
  open(90_000, 100)
  timers.standStill(100)
  expect(await pings()).toBe(1)
  timers.standStill(100)
  expect(await pings()).toBe(2)
})

test('what has arrived is heard before a peer is given up, however long that takes', () => {
  open(400, 0)
  timers.standStill(400)
  timers.standStill(1)
  timers.readSockets(() => {
    wire.events!.data(new Uint8Array(5))
    timers.standStill(400)
  })
  expect(gone).toEqual([])
})

test('a peer that says nothing is given up after the silence there may be', () => {
  open(400, 0)
  timers.standStill(399)
  timers.standStill(1)
  timers.standStill(1)
  expect(gone).toEqual([])
  timers.readSockets()
  expect(gone).toMatchObject([{ code: 'silent', message: expect.stringContaining('400 ms') }])
})
