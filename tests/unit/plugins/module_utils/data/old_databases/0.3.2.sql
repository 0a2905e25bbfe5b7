BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0f7dde8b3c4b');
CREATE TABLE api_keys (
	deleted_at DATETIME, 
	name VARCHAR NOT NULL, 
	description VARCHAR, 
	id INTEGER NOT NULL, 
	access_key VARCHAR NOT NULL, 
	hashed_secret_key VARCHAR NOT NULL, 
	user_id INTEGER NOT NULL, 
	expires_at TIMESTAMP, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (hashed_secret_key), 
	CONSTRAINT uix_name_user_id UNIQUE (name, user_id)
);
INSERT INTO "api_keys" VALUES(NULL,'automation','d',1,'39f51bb7ac59849d','$argon2id$v=19$m=65536,t=3,p=4$qdKAmYQMhnucX6QS/yw9OA$UZl2+xSp1o0rLqD/GM8eS1vpzKmJ7z3DRgIAUZJceSs',1,NULL,'2026-11-30 15:29:41','2026-11-30 15:29:41');
INSERT INTO "api_keys" VALUES(NULL,'laptop','d',2,'d11ee2f993ffed63','$argon2id$v=19$m=65536,t=3,p=4$3H03fcOmspbMXgLWRuespQ$K8EGPc960jF8cvu+m2g5wrgz2a92Ttw5LqI0YSx2+M0',2,'2027-02-28 15:29:41.864164','2026-11-30 15:29:42','2026-11-30 15:29:42');
INSERT INTO "api_keys" VALUES(NULL,'lost','d',3,'4665eb53de3c4d57','$argon2id$v=19$m=65536,t=3,p=4$faU+S+5HN+Y3ey02LA4W8w$CEo76X/qdidr9ZLLw4Rau+gUZrXhbV3L+jZogeSoJbA',3,NULL,'2026-11-30 15:29:42','2026-11-30 15:29:42');
CREATE TABLE "model_instances" (
	deleted_at DATETIME, 
	source VARCHAR(14) NOT NULL, 
	huggingface_repo_id VARCHAR, 
	huggingface_filename VARCHAR, 
	ollama_library_model_name VARCHAR, 
	name VARCHAR NOT NULL, 
	worker_id INTEGER, 
	worker_name VARCHAR, 
	worker_ip VARCHAR, 
	pid INTEGER, 
	port INTEGER, 
	download_progress FLOAT, 
	state VARCHAR(12) NOT NULL, 
	state_message VARCHAR, 
	computed_resource_claim JSON, 
	model_id INTEGER NOT NULL, 
	model_name VARCHAR NOT NULL, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	distributed_servers JSON, 
	gpu_indexes JSON, model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, 
	PRIMARY KEY (id), 
	FOREIGN KEY(model_id) REFERENCES models (id)
);
INSERT INTO "model_instances" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct',NULL,NULL,'qwen-vllm-LtVgU',NULL,NULL,NULL,NULL,NULL,NULL,'PENDING',NULL,'null',3,'qwen-vllm',1,'2026-11-30 15:29:43','2026-11-30 15:29:43','null','[]',NULL,NULL);
CREATE TABLE model_usages (
	id INTEGER NOT NULL, 
	user_id INTEGER NOT NULL, 
	model_id INTEGER NOT NULL, 
	date DATE NOT NULL, 
	prompt_token_count INTEGER NOT NULL, 
	completion_token_count INTEGER NOT NULL, 
	request_count INTEGER NOT NULL, 
	operation VARCHAR(15) NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(model_id) REFERENCES models (id), 
	FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE TABLE models (
	deleted_at DATETIME, 
	source VARCHAR(14) NOT NULL, 
	huggingface_repo_id VARCHAR, 
	huggingface_filename VARCHAR, 
	ollama_library_model_name VARCHAR, 
	name VARCHAR NOT NULL, 
	description VARCHAR, 
	replicas INTEGER NOT NULL, 
	ready_replicas INTEGER NOT NULL, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, embedding_only BOOLEAN DEFAULT '0' NOT NULL, placement_strategy VARCHAR(7) DEFAULT 'SPREAD' NOT NULL, cpu_offloading BOOLEAN DEFAULT '1' NOT NULL, distributed_inference_across_workers BOOLEAN DEFAULT '1' NOT NULL, worker_selector JSON, gpu_selector JSON, distributable BOOLEAN, model_scope_model_id VARCHAR, model_scope_file_path VARCHAR, backend VARCHAR, backend_parameters JSON, reranker BOOLEAN DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct-GGUF','qwen2.5-0.5b-instruct-q4_k_m.gguf',NULL,'qwen-half',NULL,0,0,1,'2026-11-30 15:29:42','2026-11-30 15:29:42',0,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0);
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','gpustack/bge-m3-GGUF','bge-m3-Q4.gguf',NULL,'bge',NULL,0,0,2,'2026-11-30 15:29:42','2026-11-30 15:29:42',1,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0);
INSERT INTO "models" VALUES(NULL,'HUGGING_FACE','Qwen/Qwen2.5-0.5B-Instruct',NULL,NULL,'qwen-vllm',NULL,1,0,3,'2026-11-30 15:29:43','2026-11-30 15:29:43',0,'SPREAD',0,0,'{"os": "linux", "arch": "amd64"}','null',0,NULL,NULL,'vllm','[]',0);
INSERT INTO "models" VALUES(NULL,'OLLAMA_LIBRARY',NULL,NULL,'llama3.1','llama',NULL,0,0,4,'2026-11-30 15:29:43','2026-11-30 15:29:43',0,'SPREAD',0,0,'{}','null',0,NULL,NULL,NULL,'[]',0);
CREATE TABLE "system_loads" (
	id INTEGER NOT NULL, 
	timestamp INTEGER NOT NULL, 
	cpu FLOAT, 
	ram FLOAT, 
	gpu FLOAT, 
	vram FLOAT, 
	PRIMARY KEY (id)
);
CREATE TABLE users (
	deleted_at DATETIME, 
	username VARCHAR NOT NULL, 
	is_admin BOOLEAN NOT NULL, 
	full_name VARCHAR, 
	require_password_change BOOLEAN NOT NULL, 
	id INTEGER NOT NULL, 
	hashed_password VARCHAR NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "users" VALUES(NULL,'admin',1,'Default System Admin',0,1,'$argon2id$v=19$m=65536,t=3,p=4$sCC8woqzTD4gaDKaluN7qQ$0yo+mOlh1xmGwbZyvD+jcoEQcVfjsVGfYV1WO0KcS3I','2026-11-30 15:29:40','2026-11-30 15:29:40');
INSERT INTO "users" VALUES(NULL,'tanaka',0,'田中',0,2,'$argon2id$v=19$m=65536,t=3,p=4$LqwVORzoHjWntKvuG0RIgQ$VKdt4Qz3XjDACRQg88tmRp+6dhVZAvS7EDaYRECU/b0','2026-11-30 15:29:41','2026-11-30 15:29:41');
CREATE TABLE workers (
	deleted_at DATETIME, 
	name VARCHAR NOT NULL, 
	hostname VARCHAR NOT NULL, 
	ip VARCHAR NOT NULL, 
	labels JSON, 
	system_reserved JSON, 
	state VARCHAR(9) NOT NULL, 
	state_message VARCHAR, 
	status JSON, 
	id INTEGER NOT NULL, 
	created_at TIMESTAMP NOT NULL, 
	updated_at TIMESTAMP NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "workers" VALUES(NULL,'gpu-one','gpu-one','10.9.8.1','{"os": "linux", "worker-name": "gpu-one"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}, {"name": "Tesla T4", "uuid": "GPU-1", "vendor": "NVIDIA", "index": 1, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}], "rpc_servers": null}',1,'2026-11-30 15:29:42','2026-11-30 15:29:42');
INSERT INTO "workers" VALUES(NULL,'gpu-two','gpu-two','10.9.8.2','{"os": "linux", "worker-name": "gpu-two"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [{"name": "Tesla T4", "uuid": "GPU-0", "vendor": "NVIDIA", "index": 0, "core": {"total": 40, "utilization_rate": 0.0}, "memory": {"total": 17179869184, "utilization_rate": 0.0, "is_unified_memory": false, "used": 0, "allocated": null}, "temperature": 40.0}], "rpc_servers": null}',2,'2026-11-30 15:29:42','2026-11-30 15:29:42');
INSERT INTO "workers" VALUES(NULL,'cpu-three','cpu-three','10.9.8.3','{"os": "linux", "worker-name": "cpu-three"}','{"ram": 2, "vram": 1}','READY',NULL,'{"cpu": {"total": 4, "utilization_rate": 1.0}, "memory": {"total": 8589934592, "utilization_rate": 1.0, "is_unified_memory": false, "used": 1, "allocated": null}, "swap": {"total": 0, "utilization_rate": 0.0, "used": 0}, "filesystem": [], "os": {"name": "Debian", "version": "12"}, "kernel": {"name": "Linux", "release": "6", "version": "1", "architecture": "x86_64"}, "uptime": {"uptime": 5.0, "boot_time": "x"}, "gpu_devices": [], "rpc_servers": null}',3,'2026-11-30 15:29:42','2026-11-30 15:29:42');
CREATE UNIQUE INDEX ix_api_keys_access_key ON api_keys (access_key);
CREATE UNIQUE INDEX ix_models_name ON models (name);
CREATE UNIQUE INDEX ix_workers_name ON workers (name);
CREATE UNIQUE INDEX ix_model_instances_name ON model_instances (name);
CREATE VIEW gpu_devices_view AS
SELECT
    w.name || '-' || json_extract(value, '$.name') || '-' || json_extract(value, '$.index') AS id,
    w.id as worker_id,
    w.name as worker_name,
    w.ip as worker_ip,
    w.created_at,
    w.updated_at,
    w.deleted_at,
    json_extract(value, '$.uuid') AS uuid,
    json_extract(value, '$.name') AS name,
    json_extract(value, '$.vendor') AS vendor,
    json_extract(value, '$.index') AS 'index',
    json_extract(value, '$.core') AS core,
    json_extract(value, '$.memory') AS memory,
    json_extract(value, '$.temperature') AS temperature
FROM
    workers w,
    json_each(w.status, '$.gpu_devices')
WHERE
    json_array_length(w.status, '$.gpu_devices') > 0;
COMMIT;
