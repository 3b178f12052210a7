package dev.kleinscope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InputStream;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.constantpool.ClassEntry;
import java.lang.classfile.constantpool.MemberRefEntry;
import java.lang.classfile.constantpool.PoolEntry;
import java.lang.constant.ClassDesc;
import java.lang.constant.MethodTypeDesc;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReference;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Java's modules in the package: all that a class of ours refers to, itself or through the libraries' classes. */
class PackagedModulesTest {

    private static final Path LIST = Path.of("src", "package", "modules");
    private static final Path CLASSES = Path.of("target", "classes");
    private static final ModuleFinder JAVA = ModuleFinder.ofSystem();
    private static final Map<String, String> MODULE_OF_PACKAGE = modulesByPackage();

    @Test
    void thePackageHasEveryModuleThatAClassRefersTo() throws IOException {
        assertEquals(Map.of(), missing(listed()));
    }

    @Test
    void aModuleThatIsNotInThePackageIsFoundWithTheClassThatRefersToIt() throws IOException {
        Set<String> listed = listed();
        assertTrue(listed.remove("java.desktop"), LIST + " has no java.desktop");
        Map<String, String> missing = missing(listed);
        assertTrue(missing.containsKey("java.desktop"), missing.toString());
        assertTrue(missing.get("java.desktop").startsWith("dev.kleinscope."), missing.toString());
    }

    @Test
    void everyModuleOfTheListIsOneOfJavas() throws IOException {
        for (String module : listed()) {
            assertTrue(JAVA.find(module).isPresent(), LIST + ": there is no module " + module);
        }
    }

    private static Set<String> listed() throws IOException {
        Set<String> modules = new HashSet<>();
        for (String line : Files.readAllLines(LIST)) {
            String text = line.replaceFirst("#.*", "").strip();
            if (!text.isEmpty()) {
                modules.add(text.split("\\s+")[0]);
            }
        }
        return modules;
    }

    /** The modules that are referred to and do not come with {@code packed}, each with a class that refers to it. */
    private static Map<String, String> missing(Collection<String> packed) throws IOException {
        Set<String> present = withRequired(packed);
        Map<String, String> missing = new TreeMap<>();
        Set<String> seen = new HashSet<>();
        Deque<String> queue = new ArrayDeque<>(ownClasses());
        assertTrue(queue.size() > 10, "only " + queue.size() + " classes are in " + CLASSES);
        seen.addAll(queue);
        while (!queue.isEmpty()) {
            String name = queue.remove();
            for (String reference : references(name)) {
                String module = MODULE_OF_PACKAGE.get(packageOf(reference));
                if (module == null) {
                    if (seen.add(reference)) {
                        queue.add(reference);
                    }
                } else if (!present.contains(module)) {
                    missing.putIfAbsent(module, name);
                }
            }
        }
        return missing;
    }

    private static List<String> ownClasses() throws IOException {
        try (Stream<Path> files = Files.walk(CLASSES)) {
            return files.filter(file -> file.toString().endsWith(".class"))
                    .map(file -> CLASSES.relativize(file).toString().replace(".class", "").replace('/', '.'))
                    .sorted()
                    .toList();
        }
    }

    /** The classes that a class names in code and in the types of what it calls; none if it is not there itself. */
    private static Set<String> references(String name) throws IOException {
        Set<String> references = new HashSet<>();
        try (InputStream file = ClassLoader.getSystemResourceAsStream(name.replace('.', '/') + ".class")) {
            if (file == null) {
                return references;
            }
            ClassModel type = ClassFile.of().parse(file.readAllBytes());
            for (PoolEntry entry : type.constantPool()) {
                switch (entry) {
                    case ClassEntry named -> add(references, named.asSymbol());
                    case MemberRefEntry member -> addTypes(references, member.type().stringValue());
                    default -> {
                    }
                }
            }
            type.fields().forEach(field -> addTypes(references, field.fieldType().stringValue()));
            type.methods().forEach(method -> addTypes(references, method.methodType().stringValue()));
        }
        return references;
    }

    private static void addTypes(Set<String> references, String descriptor) {
        if (descriptor.startsWith("(")) {
            MethodTypeDesc type = MethodTypeDesc.ofDescriptor(descriptor);
            type.parameterList().forEach(parameter -> add(references, parameter));
            add(references, type.returnType());
        } else {
            add(references, ClassDesc.ofDescriptor(descriptor));
        }
    }

    private static void add(Set<String> references, ClassDesc type) {
        ClassDesc element = type;
        while (element.isArray()) {
            element = element.componentType();
        }
        if (element.isClassOrInterface()) {
            String descriptor = element.descriptorString();
            references.add(descriptor.substring(1, descriptor.length() - 1).replace('/', '.'));
        }
    }

    private static String packageOf(String type) {
        return type.substring(0, Math.max(0, type.lastIndexOf('.')));
    }

    private static Map<String, String> modulesByPackage() {
        Map<String, String> modules = new HashMap<>();
        for (ModuleReference module : JAVA.findAll()) {
            module.descriptor().packages().forEach(name -> modules.put(name, module.descriptor().name()));
        }
        return modules;
    }

    /** As the linker puts them in. */
    private static Set<String> withRequired(Collection<String> modules) {
        Set<String> all = new HashSet<>();
        Deque<String> queue = new ArrayDeque<>(modules);
        while (!queue.isEmpty()) {
            String module = queue.remove();
            if (all.add(module)) {
                for (ModuleDescriptor.Requires required : JAVA.find(module).orElseThrow().descriptor().requires()) {
                    if (!required.modifiers().contains(ModuleDescriptor.Requires.Modifier.STATIC)) {
                        queue.add(required.name());
                    }
                }
            }
        }
        return all;
    }
}
