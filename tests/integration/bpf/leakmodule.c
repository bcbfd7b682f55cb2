/* leakmodule.c - a Python extension whose remember() keeps a copy that nobody frees. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *remember(PyObject *self, PyObject *text)
{
    Py_ssize_t count;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &count);
    (void)self;
    char *copy = malloc((size_t)count + 1); /* LEAK */
    if (copy == NULL || bytes == NULL)
        return NULL;
    memcpy(copy, bytes, (size_t)count + 1);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"remember", remember, METH_O, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "leakmodule", NULL, -1, methods};

PyMODINIT_FUNC PyInit_leakmodule(void)
{
    return PyModule_Create(&module);
}
