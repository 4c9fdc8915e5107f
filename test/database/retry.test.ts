import { expect, test } from 'vitest'
import { CommitLockTimeoutError, ShootoutError } from '../../src/core/errors.ts'
import { Random } from '../../src/core/random.ts'
import { withRetries } from '../../src/database/retry.ts'

const options = (retries: number) => ({ retries, random: new Random('retry') })

/** Fails so many times, then succeeds; tells what happened in order. */
function failing(times: number, error: Error) {
  const events: string[] = []
  let attempts = 0
  return {
    events,
    attempt: () => {
      events.push('attempt')
      if (attempts++ < times) throw error
      return 'done'
    },
    recover: () => {
      events.push('recover')
    },
  }
}

test('what succeeds at once is attempted once', async () => {
  const { attempt, recover, events } = failing(0, new Error('unused'))
  await expect(withRetries(options(5), attempt, recover)).resolves.toStrictEqual({
    value: 'done',
    attempts: 1,
  })
  expect(events).toStrictEqual(['attempt'])
})

test('each failed attempt is undone before the next', async () => {
  const { attempt, recover, events } = failing(2, new CommitLockTimeoutError('busy'))
  await expect(withRetries(options(2), attempt, recover)).resolves.toStrictEqual({
    value: 'done',
    attempts: 3,
  })
  expect(events).toStrictEqual(['attempt', 'recover', 'attempt', 'recover', 'attempt'])
})

test('when the retries are used up, the last error is thrown, after undoing', async () => {
  const error = new CommitLockTimeoutError('busy')
  const { attempt, recover, events } = failing(9, error)
  await expect(withRetries(options(1), attempt, recover)).rejects.toBe(error)
  expect(events).toStrictEqual(['attempt', 'recover', 'attempt', 'recover'])
})

test('an error that will not pass is not retried, whatever its class', async () => {
  for (const error of [new Error('bug'), new ShootoutError('full', 'the disk is full')]) {
    const { attempt, recover, events } = failing(1, error)
    await expect(withRetries(options(5), attempt, recover)).rejects.toBe(error)
    expect(events).toStrictEqual(['attempt', 'recover'])
  }
})

test('whether to retry is asked of the error’s flag, so an error from another process counts too', async () => {
  const { attempt, recover } = failing(1, new ShootoutError('conflict', 'from afar', { transient: true }))
  await expect(withRetries(options(5), attempt, recover)).resolves.toMatchObject({ attempts: 2 })
})
