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
import java.util.List;
import java.util.Optional;
import java.util.Set;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.Objects.requireNonNull;

/**
 * Finds the native library of a platform for the best level that the CPU can run, and loads it; on a CPU below all levels, it
 * fails. The file {@value #LEVELS_FILE} lists the levels in the jar, the best one first.
 *
 * <p>The library in the jar is loaded from a private copy with a unique name: the JVM binds a library file to one class
 * loader, and a second Flink job in the same TaskManager has another one.
 */
final class NativeLibraryLoader {
    /** How many class loaders of this JVM have loaded the library. They share nothing but system properties. */
    static final String COUNT_PROPERTY = "llamafu.native.class-loaders";

    private static final String LEVELS_FILE = "levels";

    private static final Logger LOG = LoggerFactory.getLogger(NativeLibraryLoader.class);

    private final NativePlatform platform;
    private final ClassLoader resources;
    private final Optional<Set<String>> cpuFeatures;
    private final Optional<String> override;
    private final Optional<String> requiredLevel;
    private final Path temporaryFolder;

    /**
     * @param cpuFeatures the features of this CPU; if empty, they are unknown and not checked
     * @param override value of {@link NativeLibrary#OVERRIDE_PROPERTY}, if it is set
     * @param requiredLevel value of {@link NativeLibrary#LEVEL_PROPERTY}, if it is set
     * @param temporaryFolder where the private copy is written
     */
    NativeLibraryLoader(
            NativePlatform platform,
            ClassLoader resources,
            Optional<Set<String>> cpuFeatures,
            Optional<String> override,
            Optional<String> requiredLevel,
            Path temporaryFolder) {
        this.platform = requireNonNull(platform, "platform is null");
        this.resources = requireNonNull(resources, "resources is null");
        this.cpuFeatures = requireNonNull(cpuFeatures, "cpuFeatures is null");
        this.override = requireNonNull(override, "override is null");
        this.requiredLevel = requireNonNull(requiredLevel, "requiredLevel is null");
        this.temporaryFolder =
                requireNonNull(temporaryFolder, "temporaryFolder is null").toAbsolutePath();
    }

    boolean hasLibrary() {
        return override.isPresent() || resources.getResource(resource(LEVELS_FILE)) != null;
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
        String libraryResource = resource(level() + "/" + platform.libraryFileName());
        try (InputStream library = open(libraryResource)) {
            loadPrivateCopy(library, libraryResource);
        } catch (IOException e) {
            throw unreadable(libraryResource, e);
        }
    }

    /** The level to load: the best that this CPU can run, or the one that a property requires. */
    private String level() {
        List<String> levels = levelsInJar();
        if (requiredLevel.isPresent()) {
            String required = requiredLevel.get();
            if (!levels.contains(required)) {
                throw unavailable("The system property " + NativeLibrary.LEVEL_PROPERTY + "=" + required
                        + " names none of the levels in the jar: " + String.join(", ", levels) + ".");
            }
            levels = List.of(required);
        }
        if (cpuFeatures.isPresent()) {
            for (String level : levels) {
                if (build(level).runsOn(cpuFeatures.get())) {
                    return level;
                }
            }
        }
        String lowest = levels.get(levels.size() - 1);
        checkCpu(build(lowest));
        return lowest;
    }

    private List<String> levelsInJar() {
        String levels = resource(LEVELS_FILE);
        try (InputStream in = open(levels)) {
            List<String> names = new String(in.readAllBytes(), UTF_8).lines().toList();
            if (names.isEmpty()) {
                throw unavailable(levels + " is damaged: it is empty.");
            }
            return names;
        } catch (IOException e) {
            throw unreadable(levels, e);
        }
    }

    private NativeBuild build(String level) {
        String buildResource = resource(level + "/" + NativeBuild.FILE_NAME);
        try (InputStream in = open(buildResource)) {
            return readBuild(in, buildResource);
        } catch (IOException e) {
            throw unreadable(buildResource, e);
        }
    }

    private String resource(String name) {
        return platform.resourceFolder() + "/" + name;
    }

    private InputStream open(String resource) {
        InputStream in = resources.getResourceAsStream(resource);
        if (in == null) {
            throw unavailable("There is no native library for " + describePlatform() + ": the resource " + resource
                    + " is not on the class path. Build Llamafu on this platform (Linux: mvn install, without"
                    + " -Dnative.skip), or name a library with -D"
                    + NativeLibrary.OVERRIDE_PROPERTY + "=/absolute/path.");
        }
        return in;
    }

    private static LlamafuException unreadable(String resource, IOException cause) {
        return unavailable("The resource " + resource + " could not be read: " + cause.getMessage() + ".", cause);
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
                checkCpu(readBuild(in, build.toString()));
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

    private static NativeBuild readBuild(InputStream in, String source) {
        try {
            return NativeBuild.read(in);
        } catch (IOException | IllegalArgumentException e) {
            throw unavailable(source + " is damaged: " + e.getMessage() + ".", e);
        }
    }

    private void checkCpu(NativeBuild build) {
        if (cpuFeatures.isPresent()) {
            build.checkRunsOn(cpuFeatures.get());
        } else {
            LOG.warn(
                    "This system does not tell what its CPU can do, so it was not checked that it can run"
                            + " the native library ({}).",
                    build.level());
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
            cure =
                    "It needs glibc 2.28 or later, and was perhaps linked with another C library: rebuild it on this system.";
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
