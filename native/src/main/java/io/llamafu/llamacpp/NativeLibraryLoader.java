package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

import static java.util.Objects.requireNonNull;

/**
 * Finds the native library of a platform, rejects it on a CPU that cannot run it, and loads it.
 *
 * <p>The library in the jar is loaded from a private copy with a unique name: the JVM binds a library file to one class
 * loader, and a second Flink job in the same TaskManager has another one.
 */
final class NativeLibraryLoader {
    /** How many class loaders of this JVM have loaded the library. They share nothing but system properties. */
    static final String COUNT_PROPERTY = "llamafu.native.class-loaders";

    private static final Logger LOG = LoggerFactory.getLogger(NativeLibraryLoader.class);

    private final NativePlatform platform;
    private final ClassLoader resources;
    private final Optional<Set<String>> cpuFeatures;
    private final Optional<String> override;
    private final Path temporaryFolder;

    /**
     * @param cpuFeatures the features of this CPU; if empty, they are unknown and not checked
     * @param override value of {@link NativeLibrary#OVERRIDE_PROPERTY}, if it is set
     * @param temporaryFolder where the private copy is written
     */
    NativeLibraryLoader(
            NativePlatform platform,
            ClassLoader resources,
            Optional<Set<String>> cpuFeatures,
            Optional<String> override,
            Path temporaryFolder) {
        this.platform = requireNonNull(platform, "platform is null");
        this.resources = requireNonNull(resources, "resources is null");
        this.cpuFeatures = requireNonNull(cpuFeatures, "cpuFeatures is null");
        this.override = requireNonNull(override, "override is null");
        this.temporaryFolder =
                requireNonNull(temporaryFolder, "temporaryFolder is null").toAbsolutePath();
    }

    boolean hasLibrary() {
        return override.isPresent() || resources.getResource(libraryResource()) != null;
    }

    void load() {
        if (override.isPresent()) {
            loadOverride(override.get());
        } else {
            loadFromJar();
        }
        warnOfSecondClassLoader();
    }

    private void loadFromJar() {
        String libraryResource = libraryResource();
        String buildResource = platform.resourceFolder() + "/" + NativeBuild.FILE_NAME;

        try (InputStream build = resources.getResourceAsStream(buildResource);
                InputStream library = resources.getResourceAsStream(libraryResource)) {
            if (library == null || build == null) {
                throw unavailable("There is no native library for " + describePlatform() + ": the resource "
                        + (library == null ? libraryResource : buildResource)
                        + " is not on the class path. Build Llamafu on this platform (Linux:"
                        + " mvn install, without -Dnative.skip), or name a library with -D"
                        + NativeLibrary.OVERRIDE_PROPERTY + "=/absolute/path.");
            }
            checkCpu(build, buildResource);
            loadPrivateCopy(library, libraryResource);
        } catch (IOException e) {
            throw unavailable("The resource " + libraryResource + " could not be read: " + e.getMessage() + ".", e);
        }
    }

    private String libraryResource() {
        return platform.resourceFolder() + "/" + platform.libraryFileName();
    }

    private void loadOverride(String value) {
        String setting = NativeLibrary.OVERRIDE_PROPERTY + "=" + value;
        Path library;
        try {
            library = Path.of(value);
        } catch (InvalidPathException e) {
            throw unavailable("The system property " + setting + " is not a path.", e);
        }
        if (!library.isAbsolute() || !Files.isRegularFile(library)) {
            throw unavailable("The system property " + setting + " must be the absolute path of an existing file."
                    + " Unset it to use the library in the jar.");
        }

        Path build = library.resolveSibling(NativeBuild.FILE_NAME);
        if (Files.isRegularFile(build)) {
            try (InputStream in = Files.newInputStream(build)) {
                checkCpu(in, build.toString());
            } catch (IOException e) {
                throw unavailable(build + " could not be read: " + e.getMessage() + ".", e);
            }
        }
        try {
            System.load(value);
        } catch (UnsatisfiedLinkError e) {
            if (isBoundToAnotherClassLoader(e)) {
                loadPrivateCopyOf(library);
            } else {
                throw cannotLoad(library, "the system property " + NativeLibrary.OVERRIDE_PROPERTY, e);
            }
        }
    }

    private void loadPrivateCopyOf(Path library) {
        try (InputStream in = Files.newInputStream(library)) {
            loadPrivateCopy(in, library.toString());
        } catch (IOException e) {
            throw unavailable(library + " could not be read: " + e.getMessage() + ".", e);
        }
    }

    private void checkCpu(InputStream buildProperties, String source) {
        NativeBuild build;
        try {
            build = NativeBuild.read(buildProperties);
        } catch (IOException | IllegalArgumentException e) {
            throw unavailable(source + " is damaged: " + e.getMessage() + ".", e);
        }
        if (cpuFeatures.isPresent()) {
            build.checkRunsOn(cpuFeatures.get());
        } else {
            LOG.warn(
                    "This system does not tell what its CPU can do, so it was not checked that it can run"
                            + " the native library (-march={}).",
                    build.march());
        }
    }

    /** The copy is deleted at once: the mapping stays, and a killed process leaves no file behind. */
    private void loadPrivateCopy(InputStream library, String source) {
        Path copy = writePrivateCopy(library, source);
        try {
            System.load(copy.toString());
        } catch (UnsatisfiedLinkError e) {
            throw cannotLoad(copy, source, e);
        } finally {
            deleteNowOrAtExit(copy);
        }
    }

    /** Only the owner can read or write the file, because createTempFile creates it and it is then filled in place. */
    Path writePrivateCopy(InputStream library, String source) {
        Path copy = null;
        try {
            copy = Files.createTempFile(temporaryFolder, "llamafu-", "-" + platform.libraryFileName());
            try (OutputStream out = Files.newOutputStream(copy)) {
                library.transferTo(out);
            }
            return copy;
        } catch (IOException e) {
            if (copy != null) {
                deleteNowOrAtExit(copy);
            }
            throw unavailable(
                    "The native library " + source + " could not be copied to the temporary folder " + temporaryFolder
                            + ": "
                            + e
                            + ". Make room there, or name another folder with -Djava.io.tmpdir.",
                    e);
        }
    }

    private static void deleteNowOrAtExit(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            // Windows keeps a loaded library open.
            file.toFile().deleteOnExit();
        }
    }

    private static boolean isBoundToAnotherClassLoader(UnsatisfiedLinkError error) {
        return error.getMessage() != null && error.getMessage().contains("already loaded in another classloader");
    }

    private LlamafuException cannotLoad(Path file, String source, UnsatisfiedLinkError error) {
        String reason = String.valueOf(error.getMessage());
        String cure = "Rebuild it on this platform with mvn install.";
        if (reason.contains("failed to map segment") || reason.contains("Operation not permitted")) {
            cure = "The folder is probably mounted noexec: name another one with -Djava.io.tmpdir.";
        } else if (reason.contains("GLIBC_") || reason.contains("ld-linux")) {
            cure = "It was linked with a newer or another C library than this system has: rebuild it on this system.";
        }
        return unavailable(
                "The native library from " + source + " for " + describePlatform() + ", loaded as " + file
                        + ", was refused by the system: " + reason + ". " + cure,
                error);
    }

    private String describePlatform() {
        return platform + " (os.name " + System.getProperty("os.name") + ", os.arch " + System.getProperty("os.arch")
                + ")";
    }

    private static LlamafuException unavailable(String message) {
        return new LlamafuException(ErrorCode.NATIVE_LIBRARY_UNAVAILABLE, message);
    }

    private static LlamafuException unavailable(String message, Throwable cause) {
        return new LlamafuException(ErrorCode.NATIVE_LIBRARY_UNAVAILABLE, message, cause);
    }

    private void warnOfSecondClassLoader() {
        // Properties is synchronized, so two class loaders that load at the same time are counted as two.
        Object count = System.getProperties()
                .merge(COUNT_PROPERTY, "1", (old, one) -> Integer.toString(Integer.parseInt((String) old) + 1));
        if (!count.equals("1")) {
            LOG.warn(
                    "The native library was loaded by class loader number {} of this JVM ({}). Class loaders share"
                            + " nothing: each holds its own copy of the model in memory. To share one model between all"
                            + " jobs of a TaskManager, put the Llamafu jar into Flink's lib folder and leave it out of"
                            + " the jobs' jars.",
                    count,
                    NativeLibraryLoader.class.getClassLoader());
        }
    }
}
