/** A scenario that does nothing, however often it is asked: the gate must notice that there is nothing to compare. */

import { defineScenario } from '../../../scenarios/scenario.ts'

export default defineScenario({
  name: 'idle',
  summary: 'does nothing',
  title: () => 'do nothing',
  description: 'Timed: nothing.',
  requires: {},
  prepare: () => undefined,
  run: (context) => context.time(context.operations, () => {}),
})
