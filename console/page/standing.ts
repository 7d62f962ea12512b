/** How something stands: each has a colour and a shape of its own, so that none is told by colour alone. */
export type Standing = 'good' | 'attention' | 'failed' | 'active' | 'plain'
