import type { AgentView } from '@sealmesh/protocol/messages/profile'

/** An agent that is here, can build, and has nothing to do. */
export const view = (name: string, more: Partial<AgentView> = {}): AgentView => ({
  name,
  agent: name,
  role: '',
  persona: '',
  kind: 'service',
  status: 'active',
  capabilities: ['build'],
  load: 0,
  capacity: 2,
  nodeName: 'home',
  here: true,
  state: 'attached',
  pid: null,
  since: '',
  heardAt: null,
  ...more,
})
