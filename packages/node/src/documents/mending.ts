import { Failure } from '@sealmesh/protocol/errors'
import type { DocumentId } from '@sealmesh/protocol/ids'
import type { DamageBook } from '../store/damage-book.ts'
import type { Job } from './filling.ts'
import type { OpenDocument, Surroundings } from './open-document.ts'

export const isDamage = (error: unknown): boolean => error instanceof Failure && error.code === 'STORE_DAMAGED'

/** What readers and writers of a damaged document are told, until it is whole again or its owner takes the loss. */
export function damagedFailure(document: DocumentId, damage: DamageBook): Failure {
  const [first] = damage.of(document)
  const where =
    first === undefined || /^0+$/.test(first.incarnation)
      ? 'all of its blocks are missing'
      : `block ${first.from} of incarnation ${first.incarnation} is missing`
  return new Failure('STORE_DAMAGED', `A part of document ${document} was damaged on this disk: ${where}.`)
}

export const nothingLeft = (document: DocumentId): Failure =>
  new Failure('STORE_DAMAGED', `Nothing is left of document ${document}, which was on this disk.`)

/**
 * Blocks for a document that cannot be loaded: those that were lost are written back as their authors signed them.
 * When none is missing any more the job is done as on any other day; until then the rest of it waits and is sent again.
 */
export async function mend(
  job: Extract<Job, { type: 'receive' }>,
  id: DocumentId,
  { store, damage, restated }: Pick<Surroundings, 'store' | 'damage' | 'restated'>,
  document: Pick<OpenDocument, 'enqueue'>,
): Promise<void> {
  try {
    const { operations, used, filled } = damage.fill(id, job.blocks)
    if (used > 0) {
      await store.commit(operations)
      filled()
      job.report.stored += used
    }
    if (damage.of(id).length === 0) {
      restated(job.report.name)
      return document.enqueue(job)
    }
    if (used > 0) restated(job.report.name)
    job.resolve()
  } catch (error) {
    job.reject(error)
  }
}
