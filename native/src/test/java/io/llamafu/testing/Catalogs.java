package io.llamafu.testing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.adapter.AdapterCatalog;
import io.llamafu.adapter.AdapterFile;
import io.llamafu.adapter.AdapterSource;
import io.llamafu.adapter.LocalAdapters;

import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Catalogs that do all work on the thread that asks. */
public final class Catalogs {
    /** For sources that need no thread of others. */
    public static final AdapterCatalog.Threads CALLER =
            new AdapterCatalog.Threads(Runnable::run, Runnable::run, () -> {});

    private Catalogs() {}

    /** A catalog that looks names up each time. */
    public static AdapterCatalog of(AdapterSource source) {
        return new AdapterCatalog(source.open(), Duration.ZERO, CALLER, name -> {});
    }

    /** The version that a name stands for, or the coded failure. */
    public static AdapterFile resolve(AdapterCatalog catalog, String name) {
        try {
            return catalog.resolve(name).get(60, TimeUnit.SECONDS);
        } catch (Exception e) {
            throw LlamafuException.of(e, ErrorCode.ENGINE_FAILED, "The name was not resolved");
        }
    }

    public static AdapterFile resolve(Path folder, String name) {
        return resolve(of(LocalAdapters.of(folder)), name);
    }
}
