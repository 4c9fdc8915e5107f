/** A client that says exactly what it is told, and notes every message that it hears, in order. */

import type { Oid, Tid } from '../../../src/core/ids.ts'
import { BodyReader, BodyWriter } from '../../../src/storages/zeo/body.ts'
import { FrameParser } from '../../../src/storages/zeo/frame-parser.ts'
import { writeHello } from '../../../src/storages/zeo/handshake.ts'
import { readObjects } from '../../../src/storages/zeo/messages.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { types } from '../../../src/storages/zeo/protocol.ts'
import type { ZeoServer } from '../../../src/storages/zeo/server.ts'
import { eventually } from './harness.ts'
import { wirePair } from './test-wire.ts'

export interface Heard {
  readonly type: number
  readonly id: number
  readonly view: number
  readonly body: Uint8Array
}

const limits = { messageBytesMax: 1024 ** 2, assemblyBytesMax: 4 * 1024 ** 2, streamsMax: 64 }

export class RawClient {
  readonly heard: Heard[] = []
  readonly #outbox: Outbox
  readonly fields = new BodyWriter()
  /** Called with each message as it arrives. */
  onMessage: (one: Heard) => void = () => {}

  constructor(server: ZeoServer) {
    const [here, there] = wirePair(64 * 1024)
    const parser = new FrameParser(limits, (type, id, view, body) => {
      const one = { type, id, view, body }
      this.heard.push(one)
      this.onMessage(one)
    })
    here.listen({ data: (chunk) => parser.push(chunk), drained: () => {}, closed: () => {} })
    this.#outbox = new Outbox(here)
    server.accept(there)
    const hello = { flags: 0, session: new Uint8Array(16), token: new Uint8Array(0) }
    this.say(types.hello, 0, 0, writeHello(this.fields, hello))
  }

  /** Says one thing, in a segment of its own. */
  say(type: number, id: number, view: number, body: Uint8Array = new Uint8Array(0)): void {
    this.#outbox.send(type, id, view, body, undefined, 0)
    this.#outbox.flush()
  }

  /** The answer to request `id`. */
  async answer(id: number): Promise<Heard> {
    const find = () => this.heard.find((one) => one.id === id && one.type !== types.part)
    await eventually(() => find() !== undefined, `an answer to request ${id}`)
    return find()!
  }

  /** Whatever was sent because of what was said has arrived: a request that changes nothing is answered last. */
  async settle(id: number): Promise<void> {
    this.say(types.prefetch, id, 1, this.fields.u32(1).take())
    await this.answer(id)
    // Steps of the background, one in a round, may still follow.
    for (let round = 0; round < 20; round++) await new Promise((resolve) => setImmediate(resolve))
  }

  /** The objects that came without being waited for, in order. */
  get objects(): { readonly snapshot: Tid; readonly oid: Oid; readonly view: number }[] {
    return this.heard
      .filter(({ type }) => type === types.objects)
      .flatMap(({ body, view }) => {
        const { snapshot, objects } = readObjects(new BodyReader(body))
        return objects.map(({ oid }) => ({ snapshot, oid, view }))
      })
  }
}
