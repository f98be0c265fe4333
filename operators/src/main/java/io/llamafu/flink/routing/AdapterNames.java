package io.llamafu.flink.routing;

import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.engine.EngineOptions;
import io.llamafu.flink.LlamafuOptions;
import org.apache.flink.annotation.Internal;

import java.io.Serializable;
import java.util.Optional;
import java.util.function.Predicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Tells whether there is an adapter of a name, as the TaskManager of a router sees its adapter folder. */
@Internal
@FunctionalInterface
public interface AdapterNames extends Serializable {

    /** Opened by a task; asks the file system for each name. */
    Predicate<String> open();

    /** The adapters of a job. No file of them is read, and no model is loaded. */
    static AdapterNames of(LlamafuOptions options) {
        checkNotNull(options, "options is null");
        return () -> open(options.toEngineOptions());
    }

    private static Predicate<String> open(EngineOptions options) {
        Optional<AdapterCatalog> catalog = options.adapters().map(AdapterCatalog::new);
        return name -> catalog.isPresent() && catalog.get().contains(name);
    }
}
