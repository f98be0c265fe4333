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

/** Tells whether there is an adapter of a name, as the TaskManager of a router sees its adapter folder. */
@Internal
@FunctionalInterface
public interface AdapterNames extends Serializable {

    /** Opened by a task; asks the file system for each name. */
    Predicate<String> open();

    /** The adapters of a job. No file of them is read, and no model is loaded. */
    static AdapterNames of(LlamafuOptions options) {
        checkNotNull(options, "options is null");
        return () -> open(options);
    }

    private static Predicate<String> open(LlamafuOptions options) {
        Location folder = options.artifacts(Path.of("")).adapters().orElse(null);
        Optional<Path> local = folder instanceof Location.Local files ? Optional.of(files.path()) : Optional.empty();
        AdapterCatalog catalog =
                options.toEngineOptions(Path.of(""), local, OptionalInt.empty()).adapterCatalog();
        return folder instanceof Location.Remote remote
                ? name -> catalog.contains(name) || Artifacts.hasAdapter(remote.uri(), name)
                : catalog::contains;
    }
}
