/**
 * Version history of everything that crosses a process boundary. Raise a number together with its spec page, its
 * golden vectors and a line here.
 *
 * 1  2026-11  first version of frames, packets, blocks, records and the local sockets
 */
export const WIRE_VERSION = 1
export const PACKET_VERSION = 1
export const BLOCK_VERSION = 1
export const RECORD_VERSION = 1
export const DOOR_VERSION = 1
export const AGENT_DOOR_VERSION = 1
export const PRUNED_VERSION = 1
export const TEXT_RUN_VERSION = 1
