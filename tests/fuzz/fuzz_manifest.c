#include "tests/fuzz/fuzz.h"

#include <assert.h>

#include "builder/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_manifest_ struct manifest manifest = { 0 };

	if (manifest_parse(data, size, &manifest) < 0)
		return 0;
	assert(manifest.commit);
	for (size_t i = 0; i < manifest.count; i++)
		assert(manifest_find(&manifest, manifest.files[i].path));
	return 0;
}
