/** A scenario that does the same work for one operation as for a thousand: its time says nothing about operations. */

import { defineScenario } from '../../../scenarios/scenario.ts'

export default defineScenario({
  name: 'fixed-work',
  summary: 'waits two milliseconds per batch, however many operations',
  title: () => 'wait for no operation',
  description: 'Timed: a pause before the first operation of a batch; the others do nothing.',
  requires: {},
  prepare: () => undefined,
  run: (context) =>
    context.time(context.operations, (operation) =>
      operation === 0 ? new Promise<void>((resolve) => setTimeout(resolve, 2)) : undefined,
    ),
})
