package io.llamafu.llamacpp;

import io.llamafu.LlamafuException;

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
    @SuppressWarnings("StaticAssignmentOfThrowable") // kept to be the cause of what later callers see
    static synchronized void load() {
        if (loaded) {
            return;
        }
        if (failure != null) {
            throw new LlamafuException(failure.code(), failure.getMessage(), failure);
        }
        try {
            new NativeLibraryLoader(
                            NativePlatform.current(),
                            NativeLibrary.class.getClassLoader(),
                            CpuFeatures.current(),
                            Optional.ofNullable(System.getProperty(OVERRIDE_PROPERTY)),
                            Path.of(System.getProperty("java.io.tmpdir")))
                    .load();
            loaded = true;
        } catch (LlamafuException e) {
            failure = e;
            throw e;
        }
    }

    /** Whether {@link #load()} would find a library for this platform: in the jar, or by the override. */
    static boolean isPackaged() {
        return System.getProperty(OVERRIDE_PROPERTY) != null
                || NativeLibrary.class
                                .getClassLoader()
                                .getResource(NativePlatform.current().resourceFolder() + "/"
                                        + NativePlatform.current().libraryFileName())
                        != null;
    }

    /** What the library was built from: llama.cpp's version and patches, instruction set, compiler, kernels' features. */
    static native String buildInfo();
}
