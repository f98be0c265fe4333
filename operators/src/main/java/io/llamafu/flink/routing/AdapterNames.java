package io.llamafu.flink.routing;

import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.flink.LlamafuOptions;
import io.llamafu.flink.artifact.Artifacts;
import io.llamafu.flink.artifact.Location;
import org.apache.flink.annotation.Internal;

import java.io.Serializable;
import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.Predicate;

import static org.apache.flink.util.Preconditions.checkNotNull;

/** Tells whether there is an adapter of a name, as the TaskManager of a router sees it. */
@Internal
@FunctionalInterface
public interface AdapterNames extends Serializable {
    /** Opened by a task; asks the file system for each name. */
    Predicate<String> open();

    /** The adapters of a job. No file of them is read or fetched, and no model is loaded. */
    static AdapterNames of(LlamafuOptions options) {
        checkNotNull(options, "options is null");
        return () -> open(options);
    }

    private static Predicate<String> open(LlamafuOptions options) {
        // Neither a cache nor the model is opened to look up a name.
        Path nowhere = Path.of("");
        Optional<Location> folder = options.artifacts(nowhere).adapters();
        Optional<Path> local = folder.filter(Location.Local.class::isInstance)
                .map(Location.Local.class::cast)
                .map(Location.Local::path);
        AdapterCatalog catalog = options.toEngineOptions(nowhere, local, OptionalInt.empty())
                .adapterCatalog();
        return folder.orElse(null) instanceof Location.Remote remote
                ? name -> catalog.contains(name) || Artifacts.contains(remote, name + ".gguf")
                : catalog::contains;
    }
}
