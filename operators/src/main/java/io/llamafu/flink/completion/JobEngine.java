package io.llamafu.flink.completion;

import io.llamafu.LlamafuException;
import io.llamafu.engine.EngineOptions;
import io.llamafu.engine.InferenceEngine;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.Artifacts;
import org.apache.flink.annotation.Internal;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Optional;

/**
 * The engine of a job's options in this TaskManager, as one subtask holds it: its files are here, and it is opened or
 * joined.
 */
@Internal
public final class JobEngine implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(JobEngine.class);

    private final Artifacts artifacts;
    private final Leases.Lease lease;
    private final InferenceEngine engine;

    private JobEngine(Artifacts artifacts, Leases.Lease lease) {
        this.artifacts = artifacts;
        this.lease = lease;
        this.engine = artifacts.over(lease.engine());
    }

    /**
     * Fetches what is remote and opens the engine, or joins it. Blocks meanwhile.
     *
     * @throws LlamafuException if the files are not to be had, or the engine cannot be opened
     */
    public static JobEngine open(LlamafuOptions options, TaskManager taskManager, Leases leases) {
        Artifacts artifacts = Artifacts.acquire(options.artifacts(taskManager.temporaryFolder()));
        try {
            EngineOptions engine = options.toEngineOptions(artifacts.model(), artifacts.adapters(), taskManager.gpu());
            Leases.Lease lease = acquire(leases, engine, artifacts);
            if (lease.opened()) {
                warnIfMemoryIsShort(engine, taskManager, lease);
            }
            return new JobEngine(artifacts, lease);
        } catch (RuntimeException | Error e) {
            artifacts.close();
            throw e;
        }
    }

    private static Leases.Lease acquire(Leases leases, EngineOptions options, Artifacts artifacts) {
        try {
            return leases.acquire(options);
        } catch (LlamafuException e) {
            throw artifacts.explain(e);
        }
    }

    private static void warnIfMemoryIsShort(EngineOptions options, TaskManager taskManager, Leases.Lease lease) {
        Optional<String> shortage = taskManager
                .memory()
                .map(NativeMemory.Limits::of)
                .flatMap(limits -> new NativeMemory(lease.engine().metrics().memory(), options.adapterMemoryBudget())
                        .shortage(limits));
        shortage.ifPresent(LOG::warn);
    }

    public InferenceEngine engine() {
        return engine;
    }

    /** Gives the engine and its files back. Idempotent; does not throw. */
    @Override
    public void close() {
        lease.close();
        artifacts.close();
    }
}
