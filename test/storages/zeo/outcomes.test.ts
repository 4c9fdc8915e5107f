/** What a server remembers of the transactions of its clients. */

import { expect, test } from 'vitest'
import { asTid } from '../../../src/core/ids.ts'
import { Outcomes } from '../../../src/storages/zeo/outcomes.ts'
import { VirtualTimers } from '../../simulation/simulated-transport.ts'

const viewsMax = 10

/** The memory of a server, with a client that has come back once. */
function remembered(): Outcomes {
  const outcomes = new Outcomes(new VirtualTimers(), viewsMax)
  outcomes.arrive('client')
  return outcomes
}

function comeBack(outcomes: Outcomes): void {
  outcomes.leave('client')
  outcomes.arrive('client')
}

test('a view that never began a transaction has not committed one, and never will', async () => {
  const outcomes = remembered()
  comeBack(outcomes)
  expect(await outcomes.ask('client', 3, 1)).toBe('not-committed')
  expect(outcomes.begin('client', 3, 1, () => {})).toBe(false)
})

test('who asks for ever more views is told so of as many as a client may have; of those dropped nothing is said', async () => {
  const outcomes = remembered()
  outcomes.begin('client', 0, 1, () => {})
  outcomes.finishing('client', 0, 1)
  outcomes.committed('client', 0, 1, asTid(77))
  comeBack(outcomes)
  for (let view = 1; view < viewsMax; view++) {
    expect(await outcomes.ask('client', view, 1), `view ${view}`).toBe('not-committed')
  }
  expect(await outcomes.ask('client', 0, 1)).toEqual({ tid: 77 })

  expect(await outcomes.ask('client', viewsMax, 1)).toBe('not-committed')
  // The oldest went, which had committed: the opposite must not be said.
  expect(await outcomes.ask('client', 0, 1)).toBe('unknown')
  for (let view = 1000; view < 1100; view++) {
    expect(await outcomes.ask('client', view, 1), `view ${view}`).toBe('unknown')
  }
})

test('what is under way is never dropped for others', async () => {
  const outcomes = remembered()
  for (let view = 0; view < 3 * viewsMax; view++) {
    outcomes.begin('client', view, 1, () => {})
    if (view > 0) outcomes.lost('client', view, 1)
  }
  outcomes.finishing('client', 0, 1)
  outcomes.committed('client', 0, 1, asTid(5))
  expect(await outcomes.ask('client', 0, 1)).toEqual({ tid: 5 })
})
