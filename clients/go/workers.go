package eventfold

import (
	"context"
	"sync"
)

// workers handle deliveries, so many at once, and those of one stream one after the other. A stream
// that is slow takes one slot, and holds up no other.
type workers struct {
	ctx    context.Context
	handle func(*Delivery)
	slots  chan struct{}

	running sync.WaitGroup
	mutex   sync.Mutex
	// What is still to be done, by stream; a stream that has an entry has a goroutine.
	queues map[string][]*Delivery
}

func newWorkers(ctx context.Context, concurrency int, handle func(*Delivery)) *workers {
	return &workers{
		ctx: ctx, handle: handle, slots: make(chan struct{}, max(1, concurrency)),
		queues: map[string][]*Delivery{},
	}
}

// put lets a delivery be handled when those of its stream before it are, and a slot is free. It
// does not wait: how many there are is bounded by what a session has at once.
func (w *workers) put(stream string, delivery *Delivery) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	queue, isBusy := w.queues[stream]
	w.queues[stream] = append(queue, delivery)
	if !isBusy {
		w.running.Add(1)
		go w.work(stream)
	}
}

func (w *workers) work(stream string) {
	defer w.running.Done()
	for {
		delivery := w.take(stream)
		if delivery == nil {
			return
		}
		select {
		case <-w.ctx.Done():
			continue // It goes back when the session ends.
		case w.slots <- struct{}{}:
		}
		w.handle(delivery)
		<-w.slots
	}
}

// take is the next delivery of a stream; nil: there is none, and its goroutine ends.
func (w *workers) take(stream string) *Delivery {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	queue := w.queues[stream]
	if len(queue) == 0 {
		delete(w.queues, stream)
		return nil
	}
	w.queues[stream] = queue[1:]
	return queue[0]
}

// wait waits until all that was put is handled, or dropped because the context ended.
func (w *workers) wait() { w.running.Wait() }
