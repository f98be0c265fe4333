package io.llamafu;

import java.util.concurrent.ThreadFactory;

/**
 * Threads that do not keep a process alive. Their context class loader is ours: they may outlive the job whose thread starts them,
 * and a closed class loader of a job would fail whatever looks for services, such as the static initializers of Avro.
 */
public final class DaemonThreads {
    private static final long DEFAULT_STACK = 0;

    private DaemonThreads() {}

    public static ThreadFactory named(String name) {
        return named(name, DEFAULT_STACK);
    }

    /**
     * Threads with stacks of a given size.
     *
     * @param stackBytes as in {@link Thread#Thread(ThreadGroup, Runnable, String, long)}
     */
    public static ThreadFactory named(String name, long stackBytes) {
        return task -> {
            Thread thread = new Thread(null, task, name, stackBytes);
            thread.setDaemon(true);
            thread.setContextClassLoader(DaemonThreads.class.getClassLoader());
            return thread;
        };
    }

    /** Starts a single thread. */
    public static Thread start(String name, Runnable task) {
        Thread thread = named(name).newThread(task);
        thread.start();
        return thread;
    }
}
