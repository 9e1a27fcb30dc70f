package dev.eventfold;

import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

/** Runs jobs, so many at once, and those of one key one after the other in their order. */
final class Workers implements AutoCloseable {
    private final ExecutorService threads;
    private final Map<String, Queue<Runnable>> queues = new HashMap<>();

    Workers(int concurrency) {
        if (concurrency < 1) {
            throw Settings.invalid(
                    "concurrency", "concurrency is at least 1, not " + concurrency);
        }
        threads = Executors.newFixedThreadPool(concurrency);
    }

    /** Runs a job when those of its key before it are done, and a thread is free. */
    synchronized void put(String key, Runnable job) {
        Queue<Runnable> queue = queues.get(key);
        if (queue == null) {
            queues.put(key, new ArrayDeque<>());
            threads.execute(() -> work(key, job));
        } else {
            queue.add(job);
        }
    }

    private void work(String key, Runnable job) {
        try {
            job.run();
        } finally {
            next(key);
        }
    }

    private synchronized void next(String key) {
        Runnable job = queues.get(key).poll();
        if (job == null) {
            queues.remove(key);
            notifyAll();
        } else {
            threads.execute(() -> work(key, job));
        }
    }

    /** Waits until all jobs are done. */
    @Override
    public void close() {
        synchronized (this) {
            while (!queues.isEmpty()) {
                try {
                    wait();
                } catch (InterruptedException error) {
                    threads.shutdownNow();
                    throw Messages.interrupted();
                }
            }
        }
        threads.shutdown();
        try {
            threads.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }
}
