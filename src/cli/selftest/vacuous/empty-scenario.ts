/** A scenario that returns without having timed what it was asked for. */

import { defineScenario } from '../../../scenarios/scenario.ts'

export default defineScenario({
  name: 'empty',
  summary: 'times nothing',
  title: () => 'time nothing',
  description: 'Timed: no operation at all.',
  requires: {},
  prepare: () => undefined,
  run: (context) => context.time(0, () => {}),
})
