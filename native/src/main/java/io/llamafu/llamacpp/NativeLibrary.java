package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.support.CpuFeatures;

import java.nio.file.Path;
import java.util.Optional;

/** Loads {@code libllamafu} on first use. Every class with native methods calls {@link #load()} before it uses one. */
public final class NativeLibrary {
    /** Absolute path of a library to load instead of the one in the jar, without fallback. */
    static final String OVERRIDE_PROPERTY = "llamafu.native.library";

    /** One of the levels in the jar, instead of the best that the CPU can run: answers as on a lower machine. */
    static final String LEVEL_PROPERTY = "llamafu.native.level";

    private static boolean loaded;
    private static LlamafuException failure;

    private NativeLibrary() {}

    /**
     * Loads the library once. A failure is final for this class loader and thrown again by every later call: a
     * half-initialized library must not be tried twice, and every user of a broken installation must see its cause.
     *
     * @throws LlamafuException {@code NATIVE_LIBRARY_UNAVAILABLE} or {@code UNSUPPORTED_CPU}
     */
    @SuppressWarnings("StaticAssignmentOfThrowable") // it is the cause of every later failure
    public static synchronized void load() {
        if (loaded) {
            return;
        }
        if (failure != null) {
            throw new LlamafuException(failure.code(), failure.sentence(), failure);
        }
        try {
            loader().load();
            requireLayout(PackedSampling.layout());
            loaded = true;
        } catch (LlamafuException e) {
            failure = e;
            throw e;
        }
    }

    /** A library built from other sources would read the sampling options at other offsets. */
    static void requireLayout(String layout) {
        String found;
        try {
            found = samplingLayout();
        } catch (UnsatisfiedLinkError e) {
            found = "unknown to it";
        }
        if (!layout.equals(found)) {
            throw new LlamafuException(
                    ErrorCode.NATIVE_LIBRARY_UNAVAILABLE,
                    "The native library was built from other sources: its sampling options are '%s' in place of '%s'. Rebuild it (mvn install), or unset -D%s."
                            .formatted(found, layout, OVERRIDE_PROPERTY));
        }
    }

    /**
     * Whether there is a library for this platform, in the jar or named by {@value #OVERRIDE_PROPERTY}. It may still fail to
     * load: a broken installation is an error, never a reason to switch to another engine.
     */
    public static boolean isPackaged() {
        return loader().hasLibrary();
    }

    private static NativeLibraryLoader loader() {
        return new NativeLibraryLoader(
                NativePlatform.current(),
                NativeLibrary.class.getClassLoader(),
                CpuFeatures.current(),
                Optional.ofNullable(System.getProperty(OVERRIDE_PROPERTY)),
                Optional.ofNullable(System.getProperty(LEVEL_PROPERTY)),
                Path.of(System.getProperty("java.io.tmpdir")));
    }

    /** What it was built from, without the CPU features. */
    static String build() {
        String info = buildInfo();
        return info.substring(0, info.indexOf(';'));
    }

    /** llama.cpp's version and patches, our sources, the instruction set, the compiler and the CPU features of the kernels. */
    static native String buildInfo();

    /** The members of the C++ struct {@code SamplingNumbers}. */
    private static native String samplingLayout();
}
