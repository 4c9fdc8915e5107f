/** Two objects that count together: a transaction that is half there, or there twice, shows. */

import { expect } from 'vitest'
import { isTransient } from '../../src/core/errors.ts'
import { noTid, type Oid, type Tid } from '../../src/core/ids.ts'
import type { StorageInstance } from '../../src/storages/storage.ts'

export const [left, right] = [1 as Oid, 2 as Oid]

export const encode = (value: number): Uint8Array => new TextEncoder().encode(`${value}`)

/** Polls, then reads. */
export async function readBoth(instance: StorageInstance): Promise<{ value: number; serial: Tid }> {
  await instance.pollInvalidations()
  const found = await instance.loadMany([left, right])
  const values = found.map((one) => (one === undefined ? 0 : Number(new TextDecoder().decode(one.data))))
  expect(values[0], 'half of a transaction').toBe(values[1])
  return { value: values[0]!, serial: found[0]?.serial ?? noTid }
}

/** Adds one to both. @param atOnce vote and finish in one */
export async function addOne(instance: StorageInstance, atOnce: boolean): Promise<void> {
  const { value, serial } = await readBoth(instance)
  const transaction = instance.begin()
  try {
    await transaction.store(left, serial, encode(value + 1))
    await transaction.store(right, serial, encode(value + 1))
    if (atOnce) await transaction.commit!()
    else await (await transaction.vote()).finish()
  } catch (error) {
    await transaction.abort()
    throw error
  }
}

/** Adds one, repeating what somebody else was faster in. */
export async function addOneAtLast(instance: StorageInstance): Promise<void> {
  for (let attemptsLeft = 50; ; attemptsLeft--) {
    try {
      return await addOne(instance, true)
    } catch (error) {
      if (!isTransient(error) || attemptsLeft === 0) throw error
    }
  }
}
