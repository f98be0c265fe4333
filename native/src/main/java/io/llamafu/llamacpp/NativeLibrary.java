package io.llamafu.llamacpp;

import io.llamafu.LlamafuException;
import io.llamafu.engine.support.CpuFeatures;

import java.nio.file.Path;
import java.util.Optional;

/** Loads {@code libllamafu} on first use. Every class with native methods calls {@link #load()} before it uses one. */
final class NativeLibrary {
    /** Absolute path of a library to load in place of the one in the jar. There is no fallback from it. */
    static final String OVERRIDE_PROPERTY = "llamafu.native.library";

    private static boolean loaded;
    private static LlamafuException failure;

    private NativeLibrary() {}

    /**
     * Loads the library unless that was done before. A failure is final for this class loader: it is thrown again by each
     * later call, because a half-initialised library must not be tried twice and because the second user of a broken
     * installation must see the same cause as the first.
     *
     * @throws LlamafuException {@code NATIVE_LIBRARY_UNAVAILABLE} or {@code UNSUPPORTED_CPU}
     */
    @SuppressWarnings("StaticAssignmentOfThrowable") // Kept on purpose: it is the cause of every later failure.
    static synchronized void load() {
        if (loaded) {
            return;
        }
        if (failure != null) {
            throw new LlamafuException(failure.code(), failure.getMessage(), failure);
        }
        try {
            loader().load();
            loaded = true;
        } catch (LlamafuException e) {
            failure = e;
            throw e;
        }
    }

    /**
     * Whether there is a library for this platform: in the jar, or named by {@value #OVERRIDE_PROPERTY}. That it can be
     * loaded is not said; a broken installation is an error, never a reason to take another engine unasked.
     */
    static boolean isPackaged() {
        return loader().hasLibrary();
    }

    private static NativeLibraryLoader loader() {
        return new NativeLibraryLoader(
                NativePlatform.current(),
                NativeLibrary.class.getClassLoader(),
                CpuFeatures.current(),
                Optional.ofNullable(System.getProperty(OVERRIDE_PROPERTY)),
                Path.of(System.getProperty("java.io.tmpdir")));
    }

    /** What the library was built from: llama.cpp's version and patches, instruction set, compiler, kernels' features. */
    static native String buildInfo();
}
