package io.llamafu.flink.completion;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.annotation.Internal;

import java.io.Serializable;

/** Where a subtask gets its share of an engine. */
@Internal
@FunctionalInterface
public interface Leases extends Serializable {
    Lease acquire(EngineOptions options);

    /** A share of an engine. */
    interface Lease extends AutoCloseable {
        InferenceEngine engine();

        /** Whether this lease opened the engine, rather than joined it. */
        default boolean opened() {
            return false;
        }

        /** Idempotent. */
        @Override
        void close();
    }

    /** The engines that all subtasks and jobs of the TaskManager share. */
    static Lease shared(EngineOptions options) {
        SharedEngines.Lease lease = SharedEngines.acquire(options);
        return new Lease() {
            @Override
            public InferenceEngine engine() {
                return lease.engine();
            }

            @Override
            public boolean opened() {
                return lease.opened();
            }

            @Override
            public void close() {
                lease.close();
            }
        };
    }
}
