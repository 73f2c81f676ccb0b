// Contexts: made and cancelled.
package main

import "context"

func cancelFrom(parent context.Context, ops int64) uint64 {
	var canceled uint64
	for i := int64(0); i < ops; i++ {
		ctx, cancel := context.WithCancel(parent)
		cancel()
		if ctx.Err() != nil {
			canceled++
		}
	}
	return canceled
}

func contextCancel(ops int64) uint64 { return cancelFrom(context.Background(), ops) }

func contextChild(ops int64) uint64 {
	parent, cancel := context.WithCancel(context.Background())
	canceled := cancelFrom(parent, ops)
	cancel()
	return canceled
}
