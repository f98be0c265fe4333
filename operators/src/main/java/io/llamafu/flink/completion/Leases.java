package io.llamafu.flink.completion;

import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.annotation.Internal;

import java.io.Serializable;

/** Where a subtask gets its share of an engine: {@link SharedEngines#acquire}, but for tests. */
@Internal
@FunctionalInterface
public interface Leases extends Serializable {
    SharedEngines.Lease acquire(EngineOptions options);
}
