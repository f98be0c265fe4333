package io.llamafu.flink.routing;

import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.function.Predicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Tells whether there is an adapter of a name, as the TaskManager of a router sees its adapter folder. */
@Internal
@FunctionalInterface
public interface AdapterNames extends Serializable {

    /** Opened by a task; for one thread. */
    Predicate<String> open();

    /** The adapters of a job. No file of them is read, and no model is loaded. */
    static AdapterNames of(LlamafuOptions options) {
        checkNotNull(options, "options is null");
        return () -> options.artifacts(Path.of("")).adapterNames();
    }
}
