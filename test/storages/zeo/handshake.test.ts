/** What a client is told by a server that it cannot use, and that it hears of it. */

import { expect, test } from 'vitest'
import { openContext } from '../../../src/storages/open.ts'
import { openClient } from '../../../src/storages/zeo/client-storage.ts'
import { Outbox } from '../../../src/storages/zeo/outbox.ts'
import { magic, types } from '../../../src/storages/zeo/protocol.ts'
import { systemTimers } from '../../../src/storages/zeo/timers.ts'
import { bytes } from './harness.ts'
import { wirePair } from './test-wire.ts'

/** A client whose server says this, whatever it is asked. */
function openAt(say: (outbox: Outbox) => void) {
  const [near, far] = wirePair(1000)
  let hasSaid = false
  far.listen({
    data() {
      if (hasSaid) return
      hasSaid = true
      const outbox = new Outbox(far)
      say(outbox)
      outbox.flush()
    },
    drained() {},
    closed() {},
  })
  return openClient(
    { servers: [{ address: 'test', dial: async () => near }], waitMs: 5000, timers: systemTimers },
    openContext(),
  )
}

const says = (type: number, body: Uint8Array) => (outbox: Outbox) =>
  outbox.send(type, 0, 0, body, undefined, 0)

test.each([
  [
    'of another version, whatever follows that',
    says(types.welcome, new Uint8Array([...magic, 9, 1, 2, 3])),
    'protocol-version',
    /the server at test speaks version 9 of the protocol, this client 1; update the older one/,
  ],
  ['with another magic', says(types.welcome, new Uint8Array(60)), 'protocol', /does not speak it/],
  [
    'that ends too early',
    says(types.welcome, new Uint8Array([...magic, 1, 0])),
    'protocol',
    /ends too early/,
  ],
  ['that is none', says(types.reply, bytes('x')), 'protocol', /test is not a shootout server/],
  ['that is a refusal without a reason', says(types.failed, bytes('x')), 'protocol', /ends too early/],
])('a welcome %s is an error of the one who connects', async (_what, say, code, message) => {
  const opening = openAt(say)
  await expect(opening).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
})
